"""Gaps in edges are closed: where the picture narrows between two edges, and one of them ends.

The distance to the nearest edge is a landscape whose basins are regions; two that meet in a pass
much narrower than both are two regions with a gap between them, or one with a neck. At a gap an
edge ends, pointing across; beside a neck the edges run past.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap

FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)
NARROW = 0.7  # depth of a pass, in depths of the shallower basin, up to which it may be a gap
REACH = 4  # cells around a point of an edge that tell whether the edge ends there
POINTED = 1.3  # spread of an end of an edge along the pass, in its spreads across
DASH = 20  # cells; a piece of edge as short as this counts as an end everywhere

Cells = npt.NDArray[np.bool_]
Cell = tuple[int, int]


def close_gaps(edge: FloatMap, cut: float, widest: float) -> FloatMap:
    """Return an edge map (h, w) in [0, 1] whose gaps of up to `widest` cells hold walls of 1.

    cut: the strength from which cells are edge. Without any edge, or with widest 0, the map itself.
    """
    is_edge = edge >= cut
    if not (widest and is_edge.any()):
        return edge
    away, nearest = ndimage.distance_transform_edt(~is_edge, return_indices=True)
    pieces, _ = ndimage.label(is_edge, np.ones((3, 3)))
    short = is_edge & (np.bincount(pieces.ravel())[pieces] <= DASH)

    def is_gap(y: int, x: int) -> bool:
        around = nearest[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].reshape(2, -1).T
        shores = [(int(v), int(u)) for v, u in np.unique(around, axis=0)]
        return any(short[shore] for shore in shores) or any(
            _ends(is_edge, shore, max(shores, key=lambda other: _apart(shore, other)), (y, x))
            for shore in shores
        )

    basins = _flooded(away, widest / 2, is_gap)
    walls = np.zeros(edge.shape, bool)
    walls[:-1] |= _differ(basins[:-1], basins[1:])
    walls[:, :-1] |= _differ(basins[:, :-1], basins[:, 1:])
    return np.where(walls, np.float32(1), edge)


def _flooded(
    away: npt.NDArray[np.float64], deep: float, is_gap: Callable[[int, int], bool]
) -> npt.NDArray[np.int64]:
    """Flood distances (h, w) from the deepest cells; basins that meet join, except at gaps.

    Returns the number of each cell's basin, 0 on edges.
    """
    depths = np.pad(away, 1)
    width = depths.shape[1]
    labels, count = ndimage.label(depths > deep, FOUR_NEIGHBOURS)  # wider passes are no gaps
    basins = _Basins(ndimage.maximum(depths, labels, np.arange(count + 1)).tolist())
    basin, depth = labels.ravel().tolist(), depths.ravel().tolist()
    shallow = np.flatnonzero((depths > 0) & (depths <= deep))
    for cell in shallow[np.argsort(-depths.flat[shallow], kind="stable")].tolist():
        beside = [n for n in (cell - width, cell - 1, cell + 1, cell + width) if basin[n]]
        if not beside:
            basin[cell] = basins.add(depth[cell])
            continue
        basin[cell] = basin[max(beside, key=depth.__getitem__)]
        if len(meeting := {basin[n] for n in beside}) > 1:
            y, x = divmod(cell, width)
            basins.meet(meeting, depth[cell], partial(is_gap, y - 1, x - 1))
    roots = np.array([basins.root(number) for number in range(len(basins.parents))])
    return roots[np.array(basin).reshape(depths.shape)[1:-1, 1:-1]]


class _Basins:
    """Basins by number, which of them have joined, and which have a gap between them."""

    def __init__(self, peaks: list[float]) -> None:
        """Start with basins of these greatest depths; number 0 stands for edges."""
        self.parents = list(range(len(peaks)))
        self._peaks = peaks
        self._apart: list[set[int]] = [set() for _ in peaks]

    def add(self, peak: float) -> int:
        """Start a basin; returns its number."""
        self.parents.append(len(self.parents))
        self._peaks.append(peak)
        self._apart.append(set())
        return self.parents[-1]

    def root(self, number: int) -> int:
        """Return the deepest of the basins that one has joined."""
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def meet(self, numbers: set[int], depth: float, is_gap: Callable[[], bool]) -> None:
        """Join basins that meet at a depth, unless a gap is or was found between them."""
        roots = {self.root(number) for number in numbers}
        deepest, *others = sorted(roots, key=lambda root: (-self._peaks[root], root))
        for root in others:
            if deepest in {self.root(other) for other in self._apart[root]}:
                continue  # told at their pass, the deepest cell where they meet
            if depth > NARROW * self._peaks[root] or not is_gap():
                self.parents[root] = deepest
                self._apart[deepest] |= self._apart[root]
            else:
                self._apart[root].add(deepest)
                self._apart[deepest].add(root)


def _ends(is_edge: Cells, shore: Cell, opposite: Cell, middle: Cell) -> bool:
    """Whether the edge at one shore of a pass ends there, pointing at the opposite one."""
    if _apart(shore, opposite) < 2:  # one shore only, at the picture's border
        opposite = middle
    (y, x), (v, u) = shore, opposite
    length = np.hypot(y - v, x - u)
    top, left = max(0, y - REACH), max(0, x - REACH)
    rows, columns = np.nonzero(is_edge[top : y + REACH + 1, left : x + REACH + 1])
    rows, columns = rows + top - y, columns + left - x
    along = (rows * (y - v) + columns * (x - u)) / length
    across = (columns * (y - v) - rows * (x - u)) / length
    behind = (along >= -0.6) & (np.hypot(rows, columns) < REACH + 0.1)
    if np.count_nonzero(behind) < 3:
        return True
    return bool(along[behind].std() >= POINTED * across[behind].std())


def _apart(one: Cell, other: Cell) -> float:
    """Return the square of a distance."""
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2


def _differ(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> Cells:
    return (one != other) & (one > 0) & (other > 0)
