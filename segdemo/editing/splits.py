"""Splits of one instance: into its pieces, by a line, along edges, or among seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError
from segdemo.editing.strokes import HIGHEST_NUMBER, Labels, Point, paint
from segdemo.rip.nearest import fill_with_nearest
from segdemo.rip.seeded import split_by_seeds

SMALLEST_PART = 16  # pixels; smaller ones go to a neighbour
SMALLEST_EDGE_PART = 64
CROSS = ndimage.generate_binary_structure(2, 1)


def split_components(labels: Labels, number: int) -> Labels:
    """Make every 4-connected piece of an instance one of its own; crumbs join the nearest.

    The largest piece keeps the number, the others get new ones above all used. Raises InputError
    where there is nothing to split.
    """
    return _split(labels, number, None, SMALLEST_PART)


def split_by_line(labels: Labels, number: int, points: Sequence[Point]) -> Labels:
    """Split an instance along a drawn path of any form; see `split_components` for numbers."""
    wall = np.zeros(labels.shape, np.bool_)
    for start, end in itertools.pairwise(points):
        rows, columns = _line(start, end)
        on_map = (rows >= 0) & (rows < labels.shape[0])
        on_map &= (columns >= 0) & (columns < labels.shape[1])
        wall[rows[on_map], columns[on_map]] = True
    return _split(labels, number, wall, SMALLEST_PART)


def split_by_edges(labels: Labels, number: int, edge: FloatMap, threshold: float) -> Labels:
    """Split an instance where edge (H, W) is at least `threshold`; see `split_components`."""
    return _split(labels, number, edge >= threshold, SMALLEST_EDGE_PART)


def split_among_seeds(
    labels: Labels,
    number: int,
    strokes: Sequence[Sequence[Point]],
    radius: float,
    edge: FloatMap | None = None,
) -> Labels:
    """Divide an instance among scribbles by the random walk that RIP uses.

    strokes: one path for each seed, drawn `radius` pixels wide; they need not be closed or
    complete. edge: (H, W), none where there is no edge map. The largest part keeps the number.
    Raises InputError without two seeds on the instance.
    """
    seeds = np.zeros(labels.shape, np.uint16)
    for index, stroke in enumerate(strokes, start=1):
        seeds = paint(seeds, index, stroke, radius)
    mask = labels == number
    walls = np.zeros(labels.shape, np.float32) if edge is None else edge
    owner = split_by_seeds(mask, seeds.astype(np.int32), walls)
    areas = np.bincount(owner[mask])
    first, *others = sorted(np.flatnonzero(areas), key=lambda seed: -areas[seed])
    result = labels.copy()
    result[owner == first] = number
    for fresh, seed in zip(fresh_ids(labels, len(others)), others, strict=True):
        result[owner == seed] = fresh
    return result


def fresh_ids(labels: Labels, count: int) -> list[int]:
    """Return `count` numbers above all that are used; raises InputError when none are left."""
    highest = int(labels.max(initial=0))
    if highest + count > HIGHEST_NUMBER:
        raise InputError(f"A picture holds at most {HIGHEST_NUMBER} instances: delete some first.")
    return list(range(highest + 1, highest + 1 + count))


def _split(
    labels: Labels, number: int, wall: npt.NDArray[np.bool_] | None, smallest: int
) -> Labels:
    mask = labels == number
    boxes = ndimage.find_objects(mask.astype(np.uint8)) if number else []
    if not boxes:
        raise InputError(f"Instance {number} has no pixels: select another one.")
    inside = mask[boxes[0]]
    free = inside if wall is None else inside & ~wall[boxes[0]]
    parts, count = ndimage.label(free, CROSS)
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-areas, kind="stable")
    kept = order[areas[order] >= smallest]
    if len(kept) < 2:
        raise InputError("No split: nothing separates this instance into two parts.")
    renumber = np.zeros(count + 1, np.uint16)
    renumber[kept + 1] = [number, *fresh_ids(labels, len(kept) - 1)]
    named = renumber[parts]
    result = labels.copy()
    result[boxes[0]][inside] = fill_with_nearest(named)[inside]
    return result


def _line(start: Point, end: Point) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (rows, columns) of an 8-connected line between two points' pixels."""
    (x0, y0), (x1, y1) = (np.floor(point).astype(int) for point in (start, end))
    count = max(abs(x1 - x0), abs(y1 - y0)) + 1
    columns = np.rint(np.linspace(x0, x1, count)).astype(np.int64)
    rows = np.rint(np.linspace(y0, y1, count)).astype(np.int64)
    return rows, columns
