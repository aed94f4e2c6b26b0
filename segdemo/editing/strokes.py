"""Strokes of a round brush, as the canvas draws them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError

Point = tuple[float, float]
"""(x, y) in pixels; pixel (column, row) covers x from column to column + 1, centre at + 0.5."""


def stroke_mask(
    size: tuple[int, int], points: Sequence[Point], radius: float
) -> npt.NDArray[np.bool_]:
    """Return the pixels that a round brush covers along a path, as a mask of (height, width).

    A pixel is covered where its centre is at most `radius` pixels from the path; the browser's
    `paintCapsule` covers the same ones. Raises InputError without points.
    """
    if not points:
        raise InputError("A stroke needs at least one point.")
    covered = np.zeros(size, np.bool_)
    for start, end in list(itertools.pairwise(points)) or [(points[0], points[0])]:
        _cover_segment(covered, start, end, radius)
    return covered


def _cover_segment(covered: npt.NDArray[np.bool_], start: Point, end: Point, radius: float) -> None:
    """Mark the pixels whose centres are near a segment."""
    height, width = covered.shape
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
    covered[top:bottom, left:right] |= distance <= radius * radius
