"""RIP as the paper has it (DiffEGG, Algorithm 4, appendix C.4): random-walk instance propagation.

Masks are cut into connected components by the edges (line 3), the components are propagated by a
random walk that edges stop (lines 4 to 6: vec(M*) = T^t vec(M (1 - E))), and components that then
overlap by more than an IoU are one instance (line 7). TRACE, as DiffEGG is called in its published
version, names it Boundary-Guided Propagation (BGP).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap
from segdemo.rip.gaps import close_gaps
from segdemo.rip.grid import BoolMask, BoolMasks, Grid, LabelImage
from segdemo.rip.inputs import InputMasks
from segdemo.rip.iou_merging import merge_overlapping
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import WalkSettings
from segdemo.rip.transition import apply_power, transition_matrix

FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)  # with 8, lines one pixel wide leak


def propagate_instances(
    masks: InputMasks,
    edge: FloatMap,
    scores: npt.NDArray[np.float64],
    settings: WalkSettings,
    support: BoolMask | None = None,
) -> Refinement:
    """Refine masks with scores (N,) by an edge map (H, W) in [0, 1]; see `refine`."""
    grid = Grid(edge.shape, settings.grid)
    cell_edge = close_gaps(grid.max_pool(edge), settings.edge_threshold, settings.gap)  # (h, w)
    seeds, owners = find_components(masks, grid, cell_edge, settings)
    if not owners:
        return Refinement(np.zeros(edge.shape, np.int32), np.zeros(0), (), (), (), len(masks))
    barriers = cell_edge
    if support is not None:
        barriers = np.where(grid.downsample(support), cell_edge, np.float32(1))
    strength = propagate(seeds, barriers, settings)  # (S, h, w)
    unions, groups, merges = merge_overlapping(
        strength >= settings.mask_threshold, settings.merge_iou
    )
    instance_strength = np.stack([strength[list(group)].max(0) for group in groups]) * unions
    covered = masks.covered
    labels = grid.upsample_labels(
        _strongest_instance(instance_strength),
        cell_edge >= settings.edge_threshold,
        covered,
        settings.fill,
    )
    if support is not None:
        labels *= support
    sources = [tuple(sorted({owners[index] for index in group})) for group in groups]
    labels, kept, coverage = _drop_small_and_uncovered(labels, covered, sources, settings)
    kept_sources = tuple(sources[k] for k in kept)
    best = np.array([scores[list(source)].max() for source in kept_sources])
    return Refinement(
        labels, best * coverage, kept_sources, tuple(merges), tuple(owners), len(masks)
    )


def find_components(
    masks: InputMasks, grid: Grid, edge: FloatMap, settings: WalkSettings
) -> tuple[BoolMasks, list[int]]:
    """Cut masks along edges (h, w) into connected components (S, h, w).

    Also returns the mask of each. With an opening, components are found away from edges; one that
    it removes completely is kept as it is, so that small and thin instances are not lost.
    """
    smallest = max(1, settings.min_component * edge.size)
    # far too small ones are left out early: of noise there may be thousands
    indices = np.flatnonzero(masks.areas > settings.min_component * edge.size / 8)
    inner = edge < settings.edge_threshold
    deep = inner
    if settings.opening and not inner.all():
        deep = ndimage.distance_transform_edt(inner) > settings.opening
    found: list[BoolMask] = []
    owners: list[int] = []
    for index, mask in zip(indices.tolist(), masks.select(indices).downsample(grid), strict=True):
        cores, count = ndimage.label(mask & deep, FOUR_NEIGHBOURS)
        whole, whole_count = ndimage.label(mask & inner, FOUR_NEIGHBOURS)
        large = [k for k in range(1, count + 1) if (cores == k).sum() >= smallest]
        used = set(np.unique(whole[np.isin(cores, large)])) if large else set()
        components = [cores == k for k in large]
        components += [
            whole == k
            for k in range(1, whole_count + 1)
            if k not in used and (whole == k).sum() >= smallest
        ]
        found += components
        owners += [index] * len(components)
    return np.array(found, bool).reshape(-1, *edge.shape), owners


def propagate(seeds: BoolMasks, edge: FloatMap, settings: WalkSettings) -> FloatMap:
    """Propagate components (S, h, w) by the random walk; each divided by its own maximum.

    A fragment's level is its share of its instance, so an absolute threshold would delete small
    ones.
    """
    transition = transition_matrix(edge, settings.radius, settings.beta)  # (h*w, h*w)
    start = (seeds * (1 - edge)).reshape(len(seeds), -1).T.astype(np.float32)  # (h*w, S)
    walked = apply_power(transition, np.ascontiguousarray(start), settings.steps)  # (h*w, S)
    strength = walked.T.reshape(seeds.shape).clip(0)  # (S, h, w)
    return strength / np.maximum(strength.max((1, 2), keepdims=True), 1e-9)


def _strongest_instance(strength: FloatMap) -> LabelImage:
    """Give each cell to the instance of the highest strength (K, h, w), ties to the smaller one."""
    areas = (strength > 0).sum((1, 2))
    key = strength - 1e-6 * (areas / max(areas.max(), 1))[:, None, None] * (strength > 0)
    return np.where(strength.max(0) > 0, 1 + key.argmax(0), 0).astype(np.int32)


def _drop_small_and_uncovered(
    labels: LabelImage, covered: BoolMask, sources: list[tuple[int, ...]], settings: WalkSettings
) -> tuple[LabelImage, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return renumbered labels, the indices of the instances kept, and each one's coverage.

    An instance that inputs cover too little has flooded the background from a small part of a
    coarse mask. Where it is all that is left of an input, it is cut back to the inputs; else it is
    dropped.
    """
    count = len(sources)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    inside = np.bincount(labels[covered], minlength=count + 1)[1:]
    smallest = max(1, settings.min_instance * labels.size)
    good = inside >= np.maximum(settings.min_coverage * areas, 1)
    good &= areas >= smallest
    present = {n for k in np.flatnonzero(good) for n in sources[k]}
    cut_back = [
        k
        for k in np.flatnonzero(~good & (inside >= smallest))
        if any(n not in present for n in sources[k])
    ]
    labels = labels.copy()
    labels[np.isin(labels, np.array(cut_back) + 1) & ~covered] = 0
    areas[cut_back] = inside[cut_back]
    good[cut_back] = True
    kept = np.flatnonzero(good)
    renumber = np.zeros(count + 1, np.int32)
    renumber[kept + 1] = np.arange(1, len(kept) + 1)
    return renumber[labels], kept, inside[kept] / np.maximum(areas[kept], 1)
