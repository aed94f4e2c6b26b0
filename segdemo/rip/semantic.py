"""RIP on a class map: regions of a class become instances, stuff and void fill the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, InstanceMasks, Labels
from segdemo.rip.grid import Grid
from segdemo.rip.refine import Refinement, refine, refine_labels
from segdemo.rip.settings import ROBUST, RIPSettings

VOID = 255
SMALLEST_SEGMENT = 64  # pixels


@dataclass(frozen=True, eq=False)
class SemanticRefinement:
    """A panoptic picture: every pixel is one segment's or void.

    segments: (H, W) int32, 0 = void, k = segment k - 1; things come first, in rising classes, then
    stuff, one segment a class. class_ids: (K,) int64. scores: (K,) float32; of a thing as
    in `Refinement`, of stuff 1. things: how many segments are instances.
    """

    segments: Labels
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
) -> SemanticRefinement:
    """Find the instances of thing classes in a class map (H, W) by an edge map (H, W) in [0, 1].

    things: classes with instances; all other classes are stuff, except those in `void`, which are
    nothing. clip_to_support: instances stay within their class's region; else they may grow to the
    edge, over what is stuff, void or another class's leftovers, the smaller instance first. Pixels
    of a thing class that no instance has go to the nearest of the class within `fill` cells, else
    to void, as do segments below 64 pixels. Raises InputError for other shapes, numbers below 0,
    and classes that are both thing and void.
    """
    present = _classes(class_map, edge, things, void)
    kinds = [number for number in present if number in things]
    found = [_parted(class_map == kind, edge, settings) for kind in kinds]
    segments = _laid_out(class_map, kinds, found, clip_to_support)
    class_ids = [kind for kind, each in zip(kinds, found, strict=True) for _ in each.sources]
    scores = [score for each in found for score in each.scores.tolist()]
    reach = settings.fill * Grid(edge.shape, settings.grid).factor
    owners = np.array([-1, *class_ids])
    for kind in kinds:
        orphans = (class_map == kind) & (segments == 0)
        _adopt(segments, orphans, owners == kind, reach)
    instances = len(class_ids)
    for number in present:
        if number not in things and number not in void:
            class_ids.append(number)
            scores.append(1.0)
            segments[(class_map == number) & (segments == 0)] = len(class_ids)
    return _without_small(segments, class_ids, scores, instances)


def _parted(region: npt.NDArray[np.bool_], edge: FloatMap, settings: RIPSettings) -> Refinement:
    """Find the instances of a class's region (H, W)."""
    if settings.contrast:  # the careful way cuts no mask for lying in several places
        return refine_labels(ndimage.label(region)[0], edge, settings=settings)
    return refine(region[None], edge, settings=settings)


def _laid_out(
    class_map: npt.NDArray[np.integer],
    kinds: list[int],
    found: list[Refinement],
    clip_to_support: bool,
) -> Labels:
    """Number all classes' instances in one map (H, W): a pixel's own class, else the smallest."""
    segments = np.zeros(class_map.shape, np.int32)
    contest = np.full(class_map.shape, np.inf, np.float32)  # the lowest claim wins a pixel
    before = 0
    for kind, each in zip(kinds, found, strict=True):
        region = class_map == kind
        areas = np.bincount(each.labels.ravel()).astype(np.float32)
        claim = np.where(region, 0, areas[each.labels])
        won = (each.labels > 0) & (claim < contest)
        if clip_to_support:
            won &= region
        segments[won] = each.labels[won] + before
        contest[won] = claim[won]
        before += len(each.sources)
    return segments


def _adopt(
    segments: Labels, orphans: npt.NDArray[np.bool_], of_class: npt.NDArray[np.bool_], reach: int
) -> None:
    """Give orphans (H, W) the nearest segment of a class within `reach` pixels, in `segments`."""
    if not (orphans.any() and of_class.any()):
        return
    (box,) = ndimage.find_objects(orphans.astype(np.uint8))
    window = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
    near = segments[window]
    away, nearest = ndimage.distance_transform_edt(~of_class[near], return_indices=True)
    taken = orphans[window] & (away <= reach) & of_class[near[tuple(nearest)]]
    near[taken] = near[tuple(nearest)][taken]


def _without_small(
    segments: Labels, class_ids: list[int], scores: list[float], things: int
) -> SemanticRefinement:
    areas = np.bincount(segments.ravel(), minlength=len(class_ids) + 1)[1:]
    kept = np.flatnonzero(areas >= SMALLEST_SEGMENT)
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
            f"The class map is {class_map.dtype} {class_map.shape}, expected whole (H, W)."
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
