"""Strokes: a round brush, an eraser and polygons, as the canvas draws them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError, Labels

HIGHEST_NUMBER = 65535  # of an instance
Point = tuple[float, float]
"""(x, y) in pixels; pixel (column, row) covers x from column to column + 1, centre at + 0.5."""

PaintMode = Literal["over", "background", "inside"]
"""What a stroke may cover: all, background only, or only what the selected instance has."""


def paint(
    labels: Labels,
    number: int,
    points: Sequence[Point],
    radius: float,
    mode: PaintMode = "over",
    locked: Collection[int] = (),
) -> Labels:
    """Draw a path with a round brush; `number` 0 erases.

    A pixel is drawn where its centre is at most `radius` pixels from the path. locked: instances
    whose pixels stay. mode "inside" keeps to pixels that already have `number`. Raises InputError
    without points.
    """
    if not points:
        raise InputError("A stroke needs at least one point.")
    drawn = np.zeros(labels.shape, np.bool_)
    pairs = list(itertools.pairwise(points)) or [(points[0], points[0])]
    for start, end in pairs:
        _draw_segment(drawn, start, end, radius)
    return _covered(labels, drawn, number, mode, locked)


def fill_polygon(
    labels: Labels,
    number: int,
    corners: Sequence[Point],
    mode: PaintMode = "over",
    locked: Collection[int] = (),
) -> Labels:
    """Fill a closed polygon (even-odd rule: a path that crosses itself leaves holes).

    A pixel is inside where its centre is. Raises InputError with fewer than three corners.
    """
    if len(corners) < 3:
        raise InputError("A polygon needs at least three corners.")
    height, width = labels.shape
    centres = np.arange(width) + 0.5
    inside = np.zeros(labels.shape, np.bool_)
    ends = [*corners[1:], corners[0]]
    for row in range(height):
        y = row + 0.5
        for (x0, y0), (x1, y1) in zip(corners, ends, strict=True):
            if (y0 <= y) != (y1 <= y):
                inside[row] ^= centres > x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return _covered(labels, inside, number, mode, locked)


def _draw_segment(drawn: npt.NDArray[np.bool_], start: Point, end: Point, radius: float) -> None:
    """Mark the pixels whose centres are near a segment."""
    height, width = drawn.shape
    (x0, y0), (x1, y1) = start, end
    left, right = max(0, int(min(x0, x1) - radius)), min(width, int(max(x0, x1) + radius) + 1)
    top, bottom = max(0, int(min(y0, y1) - radius)), min(height, int(max(y0, y1) + radius) + 1)
    if left >= right or top >= bottom:
        return
    x = np.arange(left, right)[None] + 0.5 - x0
    y = np.arange(top, bottom)[:, None] + 0.5 - y0
    dx, dy = x1 - x0, y1 - y0
    length = dx * dx + dy * dy
    along = ((x * dx + y * dy) / length).clip(0, 1) if length else np.zeros((1, 1))
    distance = (x - along * dx) ** 2 + (y - along * dy) ** 2
    drawn[top:bottom, left:right] |= distance <= radius * radius


def _covered(
    labels: Labels,
    drawn: npt.NDArray[np.bool_],
    number: int,
    mode: PaintMode,
    locked: Collection[int],
) -> Labels:
    allowed = {
        "over": np.ones((), np.bool_),
        "background": labels == 0,
        "inside": labels == number,
    }.get(mode)
    if allowed is None:
        raise InputError(f"Paint mode {mode!r}: choose over, background or inside.")
    result = labels.copy()
    result[drawn & allowed & ~np.isin(labels, list(locked))] = number
    return result
