"""RIP as a whole: instance masks and an edge map in, repaired instances and what happened out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError
from segdemo.rip.merging import BoolMasks, Merge, merge_overlapping
from segdemo.rip.walk import propagate, transition_matrix

LabelMap = npt.NDArray[np.int32]
FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)  # with 8, lines one pixel wide leak


@dataclass(frozen=True)
class RIPSettings:
    """How masks are split and merged; the defaults are those for predicted edges (`ROBUST`)."""

    grid: int = field(
        default=128, metadata={"help": "Cells along the longer side of the working grid."}
    )
    cut: float = field(
        default=0.5, metadata={"help": "Edge strength that separates components, 0 to 1."}
    )
    opening: int = field(
        default=3,
        metadata={
            "help": "Components are taken this many cells away from edges, so that gaps up to "
            "twice as wide do not join two instances."
        },
    )
    radius: float = field(default=5.0, metadata={"help": "Reach of one step in cells."})
    beta: float = field(default=10.0, metadata={"help": "Power of the affinities (eq. of T)."})
    steps: int = field(
        default=128, metadata={"help": "Length of the walk; longer joins more and leaks more."}
    )
    binarise: float = field(
        default=0.3, metadata={"help": "Share of its own maximum above which a cell is a mask's."}
    )
    merge_iou: float = field(
        default=0.5, metadata={"help": "Spread components that overlap more become one."}
    )
    fill: int = field(
        default=3, metadata={"help": "Cells of edge that go to the nearest instance, within masks."}
    )
    smallest_part: float = field(
        default=5e-4, metadata={"help": "Components below this share of the picture are dropped."}
    )
    smallest_instance: float = field(
        default=1e-3, metadata={"help": "Results below this share of the picture are dropped."}
    )
    least_cover: float = field(
        default=0.5, metadata={"help": "Results that input masks cover less than this are dropped."}
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        ranges = {
            "grid": (16, 1024),
            "cut": (0, 1),
            "opening": (0, 16),
            "radius": (1.5, 16),
            "beta": (0.1, 100),
            "steps": (0, 65536),
            "binarise": (0.01, 1),
            "merge_iou": (0, 1),
            "fill": (0, 32),
            "smallest_part": (0, 1),
            "smallest_instance": (0, 1),
            "least_cover": (0, 1),
        }
        for entry in fields(self):
            low, high = ranges[entry.name]
            value = getattr(self, entry.name)
            if not low <= value <= high:
                raise InputError(f"{entry.name} {value} is outside {low} to {high}.")


ROBUST = RIPSettings()
PAPER = RIPSettings(opening=0, steps=256)
PRESETS = {"robust": ROBUST, "paper": PAPER}
"""robust: for predicted edges, which have gaps. paper: for closed edges."""


@dataclass(frozen=True, eq=False)
class Refinement:
    """What RIP made of N input masks.

    labels: (H, W) int32, 0 = nothing, k = instance k - 1. scores: (K,) highest score of the inputs
    an instance came from, times the share of it that inputs cover. sources: for each instance the
    inputs it came from. merges: joins of `parts`, with their IoU; parts: the input of each
    component that the edges cut out.
    """

    labels: LabelMap
    scores: npt.NDArray[np.float64]
    sources: tuple[tuple[int, ...], ...]
    merges: tuple[Merge, ...]
    parts: tuple[int, ...]
    count: int  # of inputs

    @property
    def masks(self) -> BoolMasks:
        """The instances, (K, H, W)."""
        return self.labels == np.arange(1, len(self.sources) + 1)[:, None, None]

    @property
    def split(self) -> tuple[int, ...]:
        """Inputs that are in more than one instance now."""
        return tuple(n for n in range(self.count) if self._uses(n) > 1)

    @property
    def dropped(self) -> tuple[int, ...]:
        """Inputs of which nothing is left."""
        return tuple(n for n in range(self.count) if self._uses(n) == 0)

    def _uses(self, index: int) -> int:
        return sum(index in source for source in self.sources)


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
    _check(masks, edge, scores)
    scores = np.ones(len(masks)) if scores is None else scores
    grid = Grid(edge.shape, settings.grid)
    coarse_edge = grid.strongest(edge)  # (h, w)
    coarse_masks = np.stack([grid.share(mask) >= 0.5 for mask in masks] or [coarse_edge < 0])
    seeds, parts = components(coarse_masks[: len(masks)], coarse_edge, settings)
    if not parts:
        empty = np.zeros(edge.shape, np.int32)
        return Refinement(empty, np.zeros(0), (), (), (), len(masks))
    spread = _spread(seeds, coarse_edge, settings)  # (S, h, w), each at most 1
    unions, groups, merges = merge_overlapping(spread >= settings.binarise, settings.merge_iou)
    strength = np.stack([spread[list(group)].max(0) for group in groups]) * unions
    covered: npt.NDArray[np.bool_] = np.any(masks, axis=0)
    labels = grid.labels_at_full_size(
        _best_label(strength), coarse_edge >= settings.cut, covered, settings.fill
    )
    sources = [tuple(sorted({parts[p] for p in group})) for group in groups]
    kept, cover = _worth_keeping(labels, covered, sources, settings)
    renumber = np.zeros(len(groups) + 1, np.int32)
    renumber[kept + 1] = np.arange(1, len(kept) + 1)
    kept_sources = tuple(sources[k] for k in kept)
    best = np.array([max(scores[n] for n in source) for source in kept_sources])
    labels = renumber[labels]
    return Refinement(labels, best * cover, kept_sources, tuple(merges), tuple(parts), len(masks))


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


def _spread(seeds: BoolMasks, edge: FloatMap, settings: RIPSettings) -> FloatMap:
    """Let components walk; each divided by its own maximum, since a fragment's level is its share.

    An absolute threshold would delete small fragments.
    """
    transition = transition_matrix(edge, settings.radius, settings.beta)
    start = (seeds * (1 - edge)).reshape(len(seeds), -1).T.astype(np.float32)
    walked = propagate(transition, np.ascontiguousarray(start), settings.steps)
    spread = walked.T.reshape(seeds.shape).clip(0)
    return spread / np.maximum(spread.max((1, 2), keepdims=True), 1e-9)


def _best_label(strength: FloatMap) -> LabelMap:
    """Give each cell to the strongest instance, ties to the smaller one."""
    areas = (strength > 0).sum((1, 2))
    key = strength - 1e-6 * (areas / max(areas.max(), 1))[:, None, None] * (strength > 0)
    return np.where(strength.max(0) > 0, 1 + key.argmax(0), 0).astype(np.int32)


def _worth_keeping(
    labels: LabelMap,
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


def _check(masks: BoolMasks, edge: FloatMap, scores: npt.NDArray[np.float64] | None) -> None:
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise InputError(f"Masks are {masks.dtype} {masks.shape}, expected bool (N, H, W).")
    if edge.ndim != 2 or edge.shape != masks.shape[1:]:
        raise InputError(
            f"The edge map is {edge.shape[-1]} x {edge.shape[0]}, the masks are "
            f"{masks.shape[2]} x {masks.shape[1]}: give them one size."
        )
    if not (edge.size and edge.min() >= 0 and edge.max() <= 1):
        raise InputError("The edge map must hold values from 0 to 1.")
    if scores is not None and scores.shape != (len(masks),):
        raise InputError(f"{len(scores)} scores for {len(masks)} masks: give one each.")


class Grid:
    """The working grid over a picture: blocks of `factor` x `factor` pixels, the last ones cut."""

    def __init__(self, size: tuple[int, int], cells: int) -> None:
        """Cover (height, width) pixels by at most `cells` blocks along the longer side."""
        self.size = size
        self.factor = max(1, -(-max(size) // cells))

    def strongest(self, edge: FloatMap) -> FloatMap:
        """Return the maximum of every block: lines stay closed."""
        starts = [np.arange(0, length, self.factor) for length in self.size]
        rows = np.maximum.reduceat(edge, starts[0], axis=0)
        return np.maximum.reduceat(rows, starts[1], axis=1)

    def share(self, mask: npt.NDArray[np.bool_]) -> FloatMap:
        """Return the share of every block that a mask covers."""
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        return np.asarray(grey.reduce(self.factor), np.float32) / np.float32(255)

    def labels_at_full_size(
        self,
        labels: LabelMap,
        is_edge: npt.NDArray[np.bool_],
        covered: npt.NDArray[np.bool_],
        fill: int,
    ) -> LabelMap:
        """Enlarge labels (h, w) to (H, W).

        Outlines are smooth: a pixel takes a label where the enlarged indicator is at least one
        half. What input masks cover up to `fill` cells beyond goes to the nearest label; on an edge
        beyond them nothing is labelled.
        """
        large = self._smooth(labels)
        away, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
        filled = np.where(away <= fill, labels[tuple(nearest)], 0)
        large = np.where((large == 0) & covered, self.repeat(filled), large)
        large[~covered & self.repeat(is_edge)] = 0
        return large

    def repeat(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Enlarge values of blocks to pixels."""
        height, width = self.size
        return values.repeat(self.factor, 0)[:height].repeat(self.factor, 1)[:, :width]

    def _smooth(self, labels: LabelMap) -> LabelMap:
        if self.factor == 1:
            return labels.copy()
        height, width = self.size
        best = np.full((height, width), 127, np.uint8)  # 128 is the first value above one half
        large = np.zeros((height, width), np.int32)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            if box is None:
                continue
            rows, columns = (
                slice(max(0, side.start - 1), min(length, side.stop + 1))
                for side, length in zip(box, labels.shape, strict=True)
            )
            part = Image.fromarray((labels[rows, columns] == label).astype(np.uint8) * 255)
            enlarged = part.resize(
                (part.width * self.factor, part.height * self.factor), Image.Resampling.BILINEAR
            )
            top, left = rows.start * self.factor, columns.start * self.factor
            window = (slice(top, top + enlarged.height), slice(left, left + enlarged.width))
            inside = np.asarray(enlarged)[: height - top, : width - left]
            stronger = inside > best[window]
            best[window][stronger] = inside[stronger]
            large[window][stronger] = label
        return large
