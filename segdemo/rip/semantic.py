"""RIP on a class map: regions of thing classes become instances (weakly-supervised panoptic, 4.4).

Stuff classes stay whole, void fills the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import label

from segdemo.datatypes import FloatMap, InputError, InstanceMasks, Points
from segdemo.rip.grid import BoolMask, LabelImage
from segdemo.rip.inputs import LabelledMasks
from segdemo.rip.nearest import fill_with_nearest
from segdemo.rip.per_class import ClassRefinement, refine_per_class
from segdemo.rip.settings import ROBUST, RIPSettings

VOID = 255
MIN_SEGMENT = 64  # pixels
LEFTOVER_REACH = 3 / 128  # of the longer side: how near an instance must be to leftover pixels


@dataclass(frozen=True, eq=False)
class SemanticRefinement:
    """A panoptic segmentation: every pixel is one segment's or void.

    segments: (H, W) int32, 0 = void, k = segment k - 1; things come first, in rising classes, then
    stuff, one segment a class. class_ids: (K,) int64. scores: (K,) float32; of a thing as
    in `Refinement`, of stuff 1. things: how many segments are instances.
    """

    segments: LabelImage
    class_ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    things: int

    def to_instances(self, names: Mapping[int, str] | None = None) -> InstanceMasks:
        """Return all segments as masks with their classes, as files of masks hold them."""
        masks = self.segments == np.arange(1, len(self.class_ids) + 1)[:, None, None]
        return InstanceMasks(masks, self.scores.copy(), self.class_ids.copy(), names or {})


def refine_semantic(
    class_map: npt.NDArray[np.integer],
    edge: FloatMap,
    things: Collection[int],
    void: Collection[int] = (VOID,),
    settings: RIPSettings = ROBUST,
    clip_to_support: bool = True,
    points: Points | None = None,
) -> SemanticRefinement:
    """Find the instances of thing classes in a class map (H, W) by an edge map (H, W) in [0, 1].

    things: classes with instances; all other classes are stuff, except those in `void`, which are
    nothing. clip_to_support: instances stay within their class's region; else they may grow to the
    edge, over what is stuff, void or another class's leftovers, the smaller instance first. points:
    (P, 2), one on each object, see `refine_per_class`. Pixels of a thing class that no instance has
    go to the nearest of the class within 3/128 of the image, else to void, as do segments below 64
    pixels. Raises InputError for other shapes, numbers below 0, and classes that are both thing and
    void.
    """
    present = _classes(class_map, edge, things, void)
    thing_map = np.where(np.isin(class_map, list(things)), class_map.astype(np.int64), -1)
    regions = label(thing_map, background=-1, connectivity=1)  # (H, W), inputs of RIP
    regions[(np.bincount(regions.ravel()) < MIN_SEGMENT)[regions]] = 0  # noise: leftovers at best
    categories = np.zeros(regions.max() + 1, np.int64)
    categories[regions] = thing_map
    found = refine_per_class(
        LabelledMasks(regions), categories[1:], edge, settings=settings, points=points
    )
    segments = _combine(class_map, found, clip_to_support)
    class_ids = [each.category for each in found for _ in each.result.sources]
    scores = [score for each in found for score in each.result.scores.tolist()]
    instances = len(class_ids)
    _assign_leftovers(segments, class_map, class_ids)
    for number in present:
        if number not in things and number not in void:
            class_ids.append(number)
            scores.append(1.0)
            segments[(class_map == number) & (segments == 0)] = len(class_ids)
    return _without_small(segments, class_ids, scores, instances)


def split_into_regions(masks: InstanceMasks, stuff: Collection[str]) -> InstanceMasks:
    """Make a mask of each connected region of a class, as RIP takes them from a class map.

    masks: one a class, which do not overlap. stuff: names of classes that stay one mask. Regions
    below 64 pixels go to the nearest large one of their class, if there is one.
    """
    found: list[BoolMask] = []
    owners: list[int] = []
    for index, mask in enumerate(masks.masks):
        category = None if masks.category_ids is None else int(masks.category_ids[index])
        whole = category is None or masks.names.get(category) in stuff
        regions = mask.astype(np.int32) if whole else label(mask, connectivity=1)
        large = np.bincount(regions.ravel()) >= MIN_SEGMENT
        large[0] = False
        if not large.any():
            regions, large = mask.astype(np.int32), np.array([False, True])
        regions = np.where(mask, fill_with_nearest(np.where(large[regions], regions, 0)), 0)
        numbers = np.flatnonzero(large).tolist()
        found += [regions == number for number in numbers]
        owners += [index] * len(numbers)
    stack = np.array(found, bool).reshape(-1, *masks.size)
    categories = None if masks.category_ids is None else masks.category_ids[owners]
    return InstanceMasks(stack, masks.scores[owners], categories, masks.names)


def _combine(
    class_map: npt.NDArray[np.integer], found: Sequence[ClassRefinement], clip_to_support: bool
) -> LabelImage:
    """Number all classes' instances in one map (H, W): a pixel's own class, else the smallest."""
    segments = np.zeros(class_map.shape, np.int32)
    lowest = np.full(class_map.shape, np.inf, np.float32)  # the lowest priority wins a pixel
    before = 0
    for each in found:
        labels = each.result.labels
        region = class_map == each.category
        areas = np.bincount(labels.ravel()).astype(np.float32)
        priority = np.where(region, 0, areas[labels])
        won = (labels > 0) & (priority < lowest)
        if clip_to_support:
            won &= region
        segments[won] = labels[won] + before
        lowest[won] = priority[won]
        before += len(each.result.sources)
    return segments


def _assign_leftovers(
    segments: LabelImage, class_map: npt.NDArray[np.integer], class_ids: Sequence[int]
) -> None:
    """Give pixels without an instance the nearest of their class within reach, in `segments`."""
    reach = round(LEFTOVER_REACH * max(segments.shape))
    category_of = np.array([-1, *class_ids])
    for category in set(class_ids):
        leftover = (class_map == category) & (segments == 0)
        if not leftover.any():
            continue
        (box,) = ndimage.find_objects(leftover.astype(np.uint8))
        window = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        near = segments[window]  # a view
        of_class = category_of[near] == category
        if not of_class.any():
            continue
        distance, nearest = ndimage.distance_transform_edt(~of_class, return_indices=True)
        taken = leftover[window] & (distance <= reach)
        near[taken] = near[tuple(nearest)][taken]


def _without_small(
    segments: LabelImage, class_ids: list[int], scores: list[float], things: int
) -> SemanticRefinement:
    areas = np.bincount(segments.ravel(), minlength=len(class_ids) + 1)[1:]
    kept = np.flatnonzero(areas >= MIN_SEGMENT)
    renumber = np.zeros(len(class_ids) + 1, np.int32)
    renumber[kept + 1] = np.arange(1, len(kept) + 1)
    return SemanticRefinement(
        renumber[segments],
        np.array(class_ids, np.int64)[kept],
        np.array(scores, np.float32)[kept],
        int(np.count_nonzero(kept < things)),
    )


def _classes(
    class_map: npt.NDArray[np.integer],
    edge: FloatMap,
    things: Collection[int],
    void: Collection[int],
) -> list[int]:
    """Check the input and return the classes that occur, rising."""
    if class_map.ndim != 2 or class_map.dtype.kind not in "iu" or not class_map.size:
        raise InputError(
            f"The class map is {class_map.dtype} {class_map.shape}, expected integers (H, W)."
        )
    if edge.shape != class_map.shape:
        raise InputError(
            f"The edge map is {edge.shape}, the class map is {class_map.shape}: give them one size."
        )
    if class_map.min() < 0:
        raise InputError(f"The class map holds {class_map.min()}: classes start at 0.")
    if both := set(things) & set(void):
        raise InputError(f"Class {min(both)} is both a thing and void: choose one.")
    return [int(number) for number in np.flatnonzero(np.bincount(class_map.ravel()))]
