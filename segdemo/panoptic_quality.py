"""Panoptic quality by panopticapi's rules: segments of one class match above an IoU of one half.

Each image is counted for itself (`count_segments`); `panoptic_quality` makes the figures of the
sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError

VOID = 0  # the id of pixels that belong to no segment


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one image.

    ids: (H, W) int64, 0 = void. categories: id -> class. crowd: ids of regions of many objects.
    areas: id -> pixels as a file states them; counted where it does not.
    """

    ids: npt.NDArray[np.int64]
    categories: Mapping[int, int]
    crowd: frozenset[int] = frozenset()
    areas: Mapping[int, int] = field(default_factory=dict)


class SegmentCounts(NamedTuple):
    """What counts of one class: the IoU of matches summed, matches, false and missed segments."""

    iou: float = 0.0
    matched: int = 0
    false: int = 0
    missed: int = 0

    def plus(self, other: SegmentCounts) -> SegmentCounts:
        """Return the sum."""
        return SegmentCounts(
            self.iou + other.iou,
            self.matched + other.matched,
            self.false + other.false,
            self.missed + other.missed,
        )


def count_segments(truth: Segments, found: Segments) -> dict[int, SegmentCounts]:
    """Count one image, class by class.

    Void pixels of the truth leave the unions. A segment that matches nothing is no mistake where
    more than half of it lies in void or in a crowd of its class (of several, the last listed).
    Raises InputError where sizes differ or ids and lists disagree.
    """
    if truth.ids.shape != found.ids.shape:
        (a, b), (c, d) = found.ids.shape, truth.ids.shape
        raise InputError(f"the prediction is {b} x {a}, the truth {d} x {c}")
    found_areas = _checked_areas(found)
    shared = _shared_pixels(truth.ids, found.ids)
    counts: dict[int, SegmentCounts] = {}

    def add(category: int, one: SegmentCounts) -> None:
        counts[category] = counts.get(category, SegmentCounts()).plus(one)

    pairs = _matched(truth, found, found_areas, shared)
    for (true, _), iou in pairs.items():
        add(truth.categories[true], SegmentCounts(iou, matched=1))
    kept, right = {true for true, _ in pairs}, {predicted for _, predicted in pairs}
    crowds = {truth.categories[i]: i for i in truth.categories if i in truth.crowd}
    for true, category in truth.categories.items():
        if true not in kept and true not in truth.crowd:
            add(category, SegmentCounts(missed=1))
    for predicted, category in found.categories.items():
        forgiven = shared.get((VOID, predicted), 0)
        if category in crowds:
            forgiven += shared.get((crowds[category], predicted), 0)
        if predicted not in right and forgiven <= 0.5 * found_areas[predicted]:
            add(category, SegmentCounts(false=1))
    return counts


def matched_segments(truth: Segments, found: Segments) -> dict[tuple[int, int], float]:
    """Return (true, predicted) -> IoU of the segments that match; see `count_segments`."""
    return _matched(truth, found, _checked_areas(found), _shared_pixels(truth.ids, found.ids))


def _matched(
    truth: Segments,
    found: Segments,
    found_areas: Mapping[int, int],
    shared: Mapping[tuple[int, int], int],
) -> dict[tuple[int, int], float]:
    true_areas = dict(zip(*_counts(truth.ids), strict=True)) | dict(truth.areas)
    pairs: dict[tuple[int, int], float] = {}
    for (true, predicted), pixels in shared.items():
        category = truth.categories.get(true)
        if category is None or true in truth.crowd or found.categories.get(predicted) != category:
            continue
        in_void = shared.get((VOID, predicted), 0)
        iou = pixels / (found_areas[predicted] + true_areas[true] - pixels - in_void)
        if iou > 0.5:
            pairs[true, predicted] = iou
    return pairs


def panoptic_quality(
    images: Iterable[Mapping[int, SegmentCounts]], things: Mapping[int, bool]
) -> dict[str, float]:
    """Return PQ, SQ and RQ of all classes, of things (PQth ..) and of stuff (PQst ..), as shares.

    things: class -> whether its objects are told apart. Classes that occur neither in truth nor
    predictions do not count; NaN where none is left.
    """
    sums: dict[int, SegmentCounts] = {}
    for counts in images:
        for category, one in counts.items():
            sums[category] = sums.get(category, SegmentCounts()).plus(one)
    figures: dict[str, float] = {}
    for ending, kinds in (("", (True, False)), ("th", (True,)), ("st", (False,))):
        chosen = [class_quality(one) for c, one in sums.items() if things[c] in kinds]
        for i, name in enumerate(("PQ", "SQ", "RQ")):
            values = [quality[i] for quality in chosen]
            figures[name + ending] = math.fsum(values) / len(values) if values else math.nan
    return figures


def image_quality(counts: Mapping[int, SegmentCounts]) -> dict[str, float]:
    """Return PQ, SQ and RQ of one image over its classes; empty without any."""
    quality = panoptic_quality([counts], dict.fromkeys(counts, True))
    return {name: quality[name] for name in ("PQ", "SQ", "RQ") if counts}


def to_row(counts: Mapping[int, SegmentCounts]) -> dict[str, list[float]]:
    """Return what a row holds and `counts_by_class` reads."""
    return {str(category): list(one) for category, one in counts.items()}


def counts_by_class(row: Mapping[str, list[float]]) -> dict[int, SegmentCounts]:
    """Read what `to_row` returned."""
    return {int(category): SegmentCounts(*one) for category, one in row.items()}  # type: ignore[arg-type]


def class_quality(one: SegmentCounts) -> tuple[float, float, float]:
    """Return PQ, SQ and RQ of a class that occurs; SQ is 0 without matches."""
    errors = one.matched + 0.5 * one.false + 0.5 * one.missed
    segmentation = one.iou / one.matched if one.matched else 0.0
    return one.iou / errors, segmentation, one.matched / errors


def _checked_areas(found: Segments) -> dict[int, int]:
    """Count the pixels of predicted segments; raises InputError where list and PNG disagree."""
    areas = dict(zip(*_counts(found.ids), strict=True))
    areas.pop(VOID, None)
    if unlisted := set(areas) - set(found.categories):
        raise InputError(
            f"the prediction's PNG holds segment {min(unlisted)}, which its list lacks"
        )
    if absent := set(found.categories) - set(areas):
        raise InputError(f"the prediction lists segment {min(absent)}, which its PNG lacks")
    return areas


def _shared_pixels(
    truth: npt.NDArray[np.int64], found: npt.NDArray[np.int64]
) -> dict[tuple[int, int], int]:
    """Return how many pixels each pair of (true, predicted) ids shares."""
    offset = int(found.max(initial=0)) + 1
    pairs, counts = _counts(truth * offset + found)
    return {divmod(pair, offset): count for pair, count in zip(pairs, counts, strict=True)}


def _counts(values: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    found, counts = np.unique(values, return_counts=True)
    return found.tolist(), counts.tolist()
