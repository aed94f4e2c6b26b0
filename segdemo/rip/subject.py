"""Divide a soft mask of all salient objects into instances along edges: first masks to edit."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, InstanceMasks
from segdemo.rip.grid import BoolMask, LabelImage
from segdemo.rip.nearest import fill_with_nearest
from segdemo.rip.refine import refine_labels
from segdemo.rip.settings import ROBUST, RIPSettings

MIN_PART = 1e-3  # share of the image


def subject_parts(
    mask: FloatMap, edge: FloatMap, threshold: float = 0.5, settings: RIPSettings = ROBUST
) -> InstanceMasks:
    """Divide what exceeds `threshold` in a mask (H, W) in [0, 1] into parts along edges (H, W).

    The parts do not overlap and cover all of it: each connected region is refined by RIP, instances
    stay inside the mask, and every pixel without a part goes to the nearest in its region. A region
    without instances is one part; one smaller than 0.1 % of the image goes to the nearest part,
    unless all are small. So without edges the parts are the connected regions; an empty mask has
    none. Scores are the mask's mean over each part. Raises InputError where sizes differ or values
    leave [0, 1].
    """
    _check(mask, edge)
    inside = mask > threshold
    if not inside.any():
        return InstanceMasks.unscored(np.zeros((0, *mask.shape), bool))
    regions, _ = ndimage.label(inside)
    parts = refine_labels(regions, edge, settings=settings, support=inside).labels
    smallest = MIN_PART * inside.size
    parts = np.where((np.bincount(parts.ravel()) < smallest)[parts], 0, parts)
    instances = InstanceMasks.from_label_map(_complete(parts, regions, smallest))
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


def _complete(parts: LabelImage, regions: LabelImage, smallest: float) -> LabelImage:
    """Give every pixel of the regions a part: its region's nearest, else a new one.

    A small region without a part goes to the nearest of all.
    """
    complete = parts.copy()
    small: BoolMask = np.zeros(parts.shape, bool)
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        region, own = regions[box] == number, complete[box]  # a view: writing fills `complete`
        known = region & (parts[box] > 0)
        if known.any():
            own[region] = fill_with_nearest(np.where(known, own, 0))[region]
        elif region.sum() >= smallest:
            own[region] = complete.max() + 1
        else:
            small[box] |= region
    if not complete.any():
        return regions
    complete[small] = fill_with_nearest(complete)[small]
    return complete
