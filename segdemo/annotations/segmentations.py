"""One annotation's segmentation in the spellings that tools use: polygons and run lengths."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from segdemo.annotations import rle
from segdemo.annotations.outlines import fill_counts
from segdemo.datatypes import InputError

Size = tuple[int, int]
"""(height, width)"""

_SLACK = 1.0  # pixels a corner may lie outside before it is told


def read_segmentation(given: Any, size: Size) -> tuple[bytes, str]:
    """Return a segmentation's compressed runs, and what was changed to get it, "" for nothing.

    Read are COCO's lists of flat polygons, one flat polygon, polygons of pairs or of x and y by
    name, run lengths (`rle.normalise`), a list of these, and all of them as text. Raises
    InputError with the reason alone where no mask results.
    """
    if isinstance(given, str) and given.strip()[:1] in ("[", "{"):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise InputError("its segmentation is damaged text") from error
    if isinstance(given, str) and given.strip():
        given = {"counts": given}
    if not given:
        raise InputError("it has no segmentation, at most a box")
    if isinstance(given, Mapping):
        return _counts(given, size), ""
    if not isinstance(given, list):
        raise InputError("its segmentation is neither polygons nor RLE")
    if all(isinstance(part, Mapping) and "counts" in part for part in given):
        return rle.merge([_counts(part, size) for part in given], size), ""
    return _fill(flat_polygons(given), size)


def flat_polygons(given: Sequence[Any]) -> list[list[float]]:
    """Return polygons of any nesting as flat lists of x1, y1, x2, y2 ..; raises InputError."""
    if all(_is_number(part) for part in given):
        return [_numbers(given)]
    pairs = [_pair(part) for part in given]
    if all(pair is not None for pair in pairs):
        return [[value for pair in pairs if pair is not None for value in pair]]
    polygons: list[list[float]] = []
    for part in given:
        if not isinstance(part, list | tuple):
            raise InputError("its polygons mix numbers and lists")
        polygons += flat_polygons(part) if part else []
    return polygons


def fits(given: Any, size: Size) -> bool:
    """Whether a segmentation has the size of its own, or all its corners inside it."""
    try:
        if isinstance(given, Mapping):
            return rle.runs_size(rle.normalise(given, size)) == size
        if not isinstance(given, list) or not given:
            return True  # nothing that could contradict
        corners = [np.array(polygon).reshape(-1, 2) for polygon in flat_polygons(given)]
        return all((c <= (size[1] + _SLACK, size[0] + _SLACK)).all() for c in corners)
    except (InputError, ValueError):
        return False


def _fill(polygons: Iterable[list[float]], size: Size) -> tuple[bytes, str]:
    polygons = list(polygons)
    areal = [polygon for polygon in polygons if len(polygon) >= 6]
    if not areal:
        boxes = any(len(polygon) == 4 for polygon in polygons)
        raise InputError(
            "its segmentation is a box or a line of four numbers, which is not an outline"
            if boxes
            else "its polygon has fewer than three corners"
        )
    counts = fill_counts(areal, size)
    if not rle.area(counts):
        raise InputError("it covers no pixel")
    changes = []
    if len(areal) < len(polygons):
        changes.append("parts of fewer than three corners were left out")
    corners = np.concatenate([np.array(polygon).reshape(-1, 2) for polygon in areal])
    if (corners < -_SLACK).any() or (corners > (size[1] + _SLACK, size[0] + _SLACK)).any():
        changes.append("what lies outside the image was cut off")
    return counts, " and ".join(changes)


def _counts(given: Mapping[str, Any], size: Size) -> bytes:
    runs = rle.normalise(given, size)
    height, width = rle.runs_size(runs)
    if (height, width) != size:
        raise InputError(f"its RLE is {width} x {height}, the image {size[1]} x {size[0]}")
    return rle.checked_counts(runs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pair(part: Any) -> tuple[float, float] | None:
    match part:
        case [x, y] | {"x": x, "y": y} if _is_number(x) and _is_number(y):
            return float(x), float(y)
    return None


def _numbers(values: Sequence[Any]) -> list[float]:
    try:
        return [float(value) for value in values]
    except OverflowError as error:
        raise InputError("a coordinate is too large") from error
