"""A soft mask of all that stands out, cut into instances along edges: first masks to start from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, InstanceMasks, Labels
from segdemo.rip.gaps import close_gaps
from segdemo.rip.grid import Grid, with_nearest
from segdemo.rip.merging import BoolMasks, merge_overlapping
from segdemo.rip.refine import components, refine_labels, spread
from segdemo.rip.settings import ROBUST, RIPSettings

BoolMask = npt.NDArray[np.bool_]


def subject_parts(
    mask: FloatMap, edge: FloatMap, threshold: float = 0.5, settings: RIPSettings = ROBUST
) -> InstanceMasks:
    """Cut what exceeds `threshold` in a mask (H, W) in [0, 1] into parts along edges (H, W).

    The parts do not overlap and make up the whole of it: RIP's components spread inside the mask,
    those that come to overlap are one part, and every pixel without a part goes to the nearest in
    its connected region. A region that no component was found in is one part; one smaller than
    `settings.smallest_instance` is a crumb and goes to the nearest part, unless all are crumbs.
    So without edges the parts are the connected regions; an empty mask has none. Scores are the
    mask's mean over each part. Raises InputError where sizes differ or values leave [0, 1].
    """
    _check(mask, edge)
    inside = mask > threshold
    if not inside.any():
        return InstanceMasks.unscored(np.zeros((0, *mask.shape), bool))
    instances = InstanceMasks.from_label_map(_divide(inside, edge, settings))
    scores = np.array([mask[part].mean(dtype=np.float64) for part in instances.masks], np.float32)
    return InstanceMasks(instances.masks, scores)


def _check(mask: FloatMap, edge: FloatMap) -> None:
    if mask.ndim != 2 or mask.shape != edge.shape or not mask.size:
        raise InputError(
            f"The mask is {mask.shape}, the edge map {edge.shape}: give them one size."
        )
    for name, values in (("mask", mask), ("edge map", edge)):
        if not (values.min() >= 0 and values.max() <= 1):
            raise InputError(f"The {name} must hold values from 0 to 1.")


def _divide(inside: BoolMask, edge: FloatMap, settings: RIPSettings) -> Labels:
    """Label the pixels inside from 1 on; 0 is outside only."""
    smallest = settings.smallest_instance * inside.size
    if settings.contrast:
        found = refine_labels(ndimage.label(inside)[0], edge, settings=settings).labels * inside
    else:
        found = _walked(inside, edge, settings)
    areas = np.bincount(found.ravel())
    found[(areas < smallest)[found]] = 0  # too small to be a part by itself
    return _complete(found, inside, smallest)


def _walked(inside: BoolMask, edge: FloatMap, settings: RIPSettings) -> Labels:
    """Label what components between edges reach inside; 0 elsewhere."""
    grid = Grid(inside.shape, settings.grid)
    coarse_inside = grid.majority(inside)
    coarse_edge = close_gaps(grid.strongest(edge), settings.cut, settings.gap)  # (h, w)
    seeds, _ = components(coarse_inside[None], coarse_edge, settings)
    labels: Labels = np.zeros(inside.shape, np.int32)
    if len(seeds):
        walls = np.where(coarse_inside, coarse_edge, 1).astype(np.float32)
        coarse = _spread_and_merge(seeds, walls, settings)
        is_edge = coarse_edge >= settings.cut
        labels = grid.labels_at_full_size(coarse, is_edge, inside, settings.fill) * inside
    return labels


def _spread_and_merge(seeds: BoolMasks, walls: FloatMap, settings: RIPSettings) -> Labels:
    """Let components (S, h, w) walk between walls; returns the cells' groups, 0 = nobody's."""
    walked = spread(seeds, walls, settings)  # (S, h, w), each at most 1
    _, groups, _ = merge_overlapping(walked >= settings.binarise, settings.merge_iou)
    strength = np.stack([walked[list(group)].max(0) for group in groups])
    reached = strength.max(0) >= settings.binarise
    return np.where(reached, 1 + strength.argmax(0), 0).astype(np.int32)


def _complete(labels: Labels, inside: BoolMask, smallest: float) -> Labels:
    """Give every pixel inside a label: its region's nearest, else a new one, else the nearest."""
    regions, _ = ndimage.label(inside)
    complete = labels.copy()
    crumbs = np.zeros_like(inside)
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        region, own = regions[box] == number, complete[box]  # a view: writing fills `complete`
        known = region & (labels[box] > 0)
        if known.any():
            own[region] = with_nearest(np.where(known, own, 0))[region]
        elif region.sum() >= smallest:
            own[region] = complete.max() + 1
        else:
            crumbs[box] |= region
    if crumbs.any() and complete.any():
        complete[crumbs] = with_nearest(complete)[crumbs]
    elif crumbs.any():
        complete = regions.astype(np.int32)
    return complete
