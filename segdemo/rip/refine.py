"""RIP as a whole: instance masks and an edge map in, repaired instances and what happened out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, Labels
from segdemo.rip.careful import labels_of, refined_by_borders
from segdemo.rip.gaps import close_gaps
from segdemo.rip.grid import Grid
from segdemo.rip.merging import BoolMasks, merge_overlapping
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import PAPER, PRESETS, ROBUST, RIPSettings
from segdemo.rip.walk import propagate, transition_matrix

__all__ = [
    "PAPER",
    "PRESETS",
    "ROBUST",
    "Grid",
    "RIPSettings",
    "Refinement",
    "components",
    "refine",
    "refine_labels",
]
FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)  # with 8, lines one pixel wide leak


def refine(
    masks: BoolMasks,
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None = None,
    settings: RIPSettings = ROBUST,
) -> Refinement:
    """Repair instance masks (N, H, W) by an edge map (H, W) in [0, 1], 1 = edge.

    Masks may overlap, be empty or none. Raises InputError where sizes disagree or the edge is not
    within [0, 1].
    """
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise InputError(f"Masks are {masks.dtype} {masks.shape}, expected bool (N, H, W).")
    _check(masks.shape[1:], edge)
    _check_scores(scores, len(masks))
    if settings.contrast:
        return refined_by_borders(labels_of(masks), len(masks), edge, scores, settings)
    grid = Grid(edge.shape, settings.grid)
    coarse = np.zeros((len(masks), *grid.shape), bool)
    for mask, blocks in zip(masks, coarse, strict=True):
        blocks[:] = grid.majority(mask)
    return _refined(grid, coarse, np.any(masks, axis=0), edge, scores, settings)


def refine_labels(
    labels: Labels,
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None = None,
    settings: RIPSettings = ROBUST,
) -> Refinement:
    """Repair instances that do not overlap, given as one map: the same as `refine`, in less memory.

    labels: (H, W) whole numbers, 0 = nothing, k = mask k - 1. There are as many masks as scores,
    else as the highest label says; labels in between that do not occur are empty masks. Raises
    InputError as `refine` does, and for labels below 0 or without a score.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise InputError(f"Labels are {labels.dtype} {labels.shape}, expected whole (H, W).")
    _check(labels.shape, edge)
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0:
        raise InputError(f"Labels hold {lowest}: they start at 0, which is nothing.")
    if scores is not None and highest > len(scores):
        raise InputError(f"Label {highest} has no score: there are {len(scores)}.")
    count = highest if scores is None else len(scores)
    if settings.contrast:
        return refined_by_borders(labels, count, edge, scores, settings)
    grid = Grid(edge.shape, settings.grid)
    coarse = grid.majorities(labels, count)
    return _refined(grid, coarse, labels > 0, edge, scores, settings)


def _refined(
    grid: Grid,
    masks: BoolMasks,
    covered: npt.NDArray[np.bool_],
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None,
    settings: RIPSettings,
) -> Refinement:
    """Refine masks (N, h, w) of a grid's blocks that cover pixels (H, W) in all."""
    count = len(masks)
    if scores is None:
        scores = np.ones(count)
    coarse_edge = close_gaps(grid.strongest(edge), settings.cut, settings.gap)  # (h, w)
    seeds, parts = components(masks, coarse_edge, settings)
    if not parts:
        return Refinement(np.zeros(edge.shape, np.int32), np.zeros(0), (), (), (), count)
    walked = spread(seeds, coarse_edge, settings)  # (S, h, w), each at most 1
    unions, groups, merges = merge_overlapping(walked >= settings.binarise, settings.merge_iou)
    strength = np.stack([walked[list(group)].max(0) for group in groups]) * unions
    labels = grid.labels_at_full_size(
        _best_label(strength), coarse_edge >= settings.cut, covered, settings.fill
    )
    sources = [tuple(sorted({parts[p] for p in group})) for group in groups]
    kept, cover = _worth_keeping(labels, covered, sources, settings)
    renumber = np.zeros(len(groups) + 1, np.int32)
    renumber[kept + 1] = np.arange(1, len(kept) + 1)
    kept_sources = tuple(sources[k] for k in kept)
    best = np.array([max(scores[n] for n in source) for source in kept_sources])
    return Refinement(
        renumber[labels], best * cover, kept_sources, tuple(merges), tuple(parts), count
    )


def components(
    masks: BoolMasks, edge: FloatMap, settings: RIPSettings
) -> tuple[BoolMasks, list[int]]:
    """Cut masks (N, h, w) along edges into connected parts (S, h, w); returns each part's mask too.

    With an opening, parts are found away from edges; a part of a mask that it wipes out whole is
    kept as it is, so that small and thin instances are not lost.
    """
    smallest = max(1, settings.smallest_part * edge.size)
    inner = edge < settings.cut
    deep = inner
    if settings.opening and not inner.all():
        deep = ndimage.distance_transform_edt(inner) > settings.opening
    found, parts = [], []
    for index, mask in enumerate(masks):
        cores, count = ndimage.label(mask & deep, FOUR_NEIGHBOURS)
        whole, whole_count = ndimage.label(mask & inner, FOUR_NEIGHBOURS)
        large = [k for k in range(1, count + 1) if (cores == k).sum() >= smallest]
        used = set(np.unique(whole[np.isin(cores, large)])) if large else set()
        chosen = [cores == k for k in large]
        chosen += [
            whole == k
            for k in range(1, whole_count + 1)
            if k not in used and (whole == k).sum() >= smallest
        ]
        found += chosen
        parts += [index] * len(chosen)
    return np.array(found, bool).reshape(-1, *edge.shape), parts


def spread(seeds: BoolMasks, edge: FloatMap, settings: RIPSettings) -> FloatMap:
    """Let components (S, h, w) walk; each divided by its own maximum.

    A fragment's level is its share, so an absolute threshold would delete small ones.
    """
    transition = transition_matrix(edge, settings.radius, settings.beta)
    start = (seeds * (1 - edge)).reshape(len(seeds), -1).T.astype(np.float32)
    walked = propagate(transition, np.ascontiguousarray(start), settings.steps)
    strength = walked.T.reshape(seeds.shape).clip(0)
    return strength / np.maximum(strength.max((1, 2), keepdims=True), 1e-9)


def _best_label(strength: FloatMap) -> Labels:
    """Give each cell to the strongest instance, ties to the smaller one."""
    areas = (strength > 0).sum((1, 2))
    key = strength - 1e-6 * (areas / max(areas.max(), 1))[:, None, None] * (strength > 0)
    return np.where(strength.max(0) > 0, 1 + key.argmax(0), 0).astype(np.int32)


def _worth_keeping(
    labels: Labels,
    covered: npt.NDArray[np.bool_],
    sources: list[tuple[int, ...]],
    settings: RIPSettings,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the indices of the instances to keep, and how much of each the inputs cover.

    An instance that inputs cover too little has flooded the background from a sliver of a sloppy
    mask. Where it is all that is left of an input, it is cut back to the inputs (in `labels`);
    else it is dropped.
    """
    count = len(sources)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    inside = np.bincount(labels[covered], minlength=count + 1)[1:]
    smallest = max(1, settings.smallest_instance * labels.size)
    sound = inside >= np.maximum(settings.least_cover * areas, 1)
    sound &= areas >= smallest
    saved = {n for k in np.flatnonzero(sound) for n in sources[k]}
    rescued = [
        k
        for k in np.flatnonzero(~sound & (inside >= smallest))
        if any(n not in saved for n in sources[k])
    ]
    for k in rescued:
        labels[(labels == k + 1) & ~covered] = 0
        areas[k] = inside[k]
    kept = np.sort(np.concatenate([np.flatnonzero(sound), np.array(rescued, int)])).astype(np.int64)
    return kept, inside[kept] / np.maximum(areas[kept], 1)


def _check_scores(scores: npt.NDArray[np.float64] | None, count: int) -> None:
    if scores is not None and scores.shape != (count,):
        raise InputError(f"{len(scores)} scores for {count} masks: give one each.")


def _check(size: tuple[int, ...], edge: FloatMap) -> None:
    if edge.ndim != 2 or edge.shape != size:
        raise InputError(
            f"The edge map is {edge.shape[-1]} x {edge.shape[0]}, the masks are "
            f"{size[1]} x {size[0]}: give them one size."
        )
    if not (edge.size and edge.min() >= 0 and edge.max() <= 1):
        raise InputError("The edge map must hold values from 0 to 1.")
