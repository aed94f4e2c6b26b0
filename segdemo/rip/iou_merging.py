"""Merge masks whose IoU exceeds a threshold, until nothing changes (DiffEGG, section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segdemo.rip.grid import BoolMasks


@dataclass(frozen=True)
class Merge:
    """Two groups of masks that became one, and their IoU then; indices of input masks."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    iou: float


def iou_matrix(masks: BoolMasks) -> npt.NDArray[np.float64]:
    """Return the IoU of all pairs of masks (N, H, W), (N, N); two empty masks have 0.

    Masks are packed to bits, so that a pair costs one AND and a count over 1/32 of the memory that
    a matrix product would need.
    """
    count = len(masks)
    bits = np.packbits(masks.reshape(count, -1), axis=1)
    bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    words = np.ascontiguousarray(bits).view(np.uint64)
    intersections = np.empty((count, count))
    for i in range(count):
        intersections[i, i:] = np.bitwise_count(words[i:] & words[i]).sum(1, dtype=np.int64)
        intersections[i:, i] = intersections[i, i:]
    areas = np.diag(intersections)
    unions = areas[:, None] + areas - intersections
    return np.divide(intersections, unions, out=np.zeros_like(intersections), where=unions > 0)


def merge_overlapping(
    masks: BoolMasks, threshold: float
) -> tuple[BoolMasks, list[tuple[int, ...]], list[Merge]]:
    """Merge every pair above `threshold`, transitively, and compare the unions again, until stable.

    Returns the unions (K, H, W), the input indices of each, and what was merged.
    """
    groups: list[tuple[int, ...]] = [(index,) for index in range(len(masks))]
    merges: list[Merge] = []
    while len(masks) > 1:
        overlap = np.triu(iou_matrix(masks), 1)
        pairs = np.argwhere(overlap > threshold)
        if not len(pairs):
            break
        merges += [Merge(groups[i], groups[j], float(overlap[i, j])) for i, j in pairs]
        links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), overlap.shape)
        count, group_of = connected_components(links, directed=False)
        members = [np.flatnonzero(group_of == group) for group in range(count)]
        masks = np.stack([masks[own].any(0) for own in members])
        groups = [tuple(sorted(n for i in own for n in groups[i])) for own in members]
    return masks, groups, merges
