"""Close gaps in edge maps: where free space narrows between two edges, and one of them ends.

A watershed of the distance map (distance to the nearest edge): two basins that meet at a saddle
much shallower than both are two regions with a gap between them, or one region with a neck. At a
gap an edge ends, pointing across; beside a neck the edges run past. skimage's watershed does not
fit: whether basins merge is decided at each saddle, while the flood rises.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap

FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)
MAX_DEPTH = 0.7  # of a saddle at a gap, in depths of the shallower basin
REACH = 4  # cells around an edge cell that tell whether the edge ends there
MIN_ELONGATION = 1.3  # of the edge cells around an edge end: spread along the gap over across
DASH = 20  # cells; an edge component this small counts as an edge end everywhere

Cells = npt.NDArray[np.bool_]
Cell = tuple[int, int]


def close_gaps(edge: FloatMap, threshold: float, widest: float) -> FloatMap:
    """Return an edge map (h, w) in [0, 1] with its gaps of up to `widest` cells closed by ones.

    threshold: the strength from which cells are edge. Without any edge, or with widest 0, the map
    itself.
    """
    is_edge = edge >= threshold
    if not (widest and is_edge.any()):
        return edge
    distance, nearest = ndimage.distance_transform_edt(~is_edge, return_indices=True)
    components, _ = ndimage.label(is_edge, np.ones((3, 3)))
    short = is_edge & (np.bincount(components.ravel())[components] <= DASH)

    def is_gap(y: int, x: int) -> bool:
        around = nearest[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].reshape(2, -1).T
        ends = [(int(v), int(u)) for v, u in np.unique(around, axis=0)]
        return any(short[end] for end in ends) or any(
            _is_edge_end(is_edge, end, max(ends, key=lambda other: _square(end, other)), (y, x))
            for end in ends
        )

    basins = _watershed(distance, widest / 2, is_gap)
    barriers = np.zeros(edge.shape, bool)
    barriers[:-1] |= _differ(basins[:-1], basins[1:])
    barriers[:, :-1] |= _differ(basins[:, :-1], basins[:, 1:])
    return np.where(barriers, np.float32(1), edge)


def _watershed(
    distance: npt.NDArray[np.float64], deep: float, is_gap: Callable[[int, int], bool]
) -> npt.NDArray[np.int64]:
    """Flood a distance map (h, w) from the deepest cells; basins that meet merge, except at gaps.

    Returns the number of each cell's basin, 0 on edges.
    """
    depths = np.pad(distance, 1)
    width = depths.shape[1]
    labels, count = ndimage.label(depths > deep, FOUR_NEIGHBOURS)  # wider saddles are no gaps
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
    """Basins by number, which of them have merged, and which have a gap between them."""

    def __init__(self, peaks: list[float]) -> None:
        """Start with basins of these greatest depths; number 0 stands for edges."""
        self.parents = list(range(len(peaks)))
        self._peaks = peaks
        self._separated: list[set[int]] = [set() for _ in peaks]

    def add(self, peak: float) -> int:
        """Start a basin; returns its number."""
        self.parents.append(len(self.parents))
        self._peaks.append(peak)
        self._separated.append(set())
        return self.parents[-1]

    def root(self, number: int) -> int:
        """Return the deepest of the basins that one has merged with."""
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def meet(self, numbers: set[int], depth: float, is_gap: Callable[[], bool]) -> None:
        """Merge basins that meet at a depth, unless a gap is or was found between them."""
        roots = {self.root(number) for number in numbers}
        deepest, *others = sorted(roots, key=lambda root: (-self._peaks[root], root))
        for root in others:
            if deepest in {self.root(other) for other in self._separated[root]}:
                continue  # found at their saddle, the deepest cell where they meet
            if depth > MAX_DEPTH * self._peaks[root] or not is_gap():
                self.parents[root] = deepest
                self._separated[deepest] |= self._separated[root]
            else:
                self._separated[root].add(deepest)
                self._separated[deepest].add(root)


def _is_edge_end(is_edge: Cells, cell: Cell, opposite: Cell, saddle: Cell) -> bool:
    """Whether the edge ends at a cell beside a saddle, pointing at the opposite edge."""
    if _square(cell, opposite) < 2:  # an edge on one side only, at the image's border
        opposite = saddle
    (y, x), (v, u) = cell, opposite
    length = np.hypot(y - v, x - u)
    top, left = max(0, y - REACH), max(0, x - REACH)
    rows, columns = np.nonzero(is_edge[top : y + REACH + 1, left : x + REACH + 1])
    rows, columns = rows + top - y, columns + left - x
    along = (rows * (y - v) + columns * (x - u)) / length
    across = (columns * (y - v) - rows * (x - u)) / length
    behind = (along >= -0.6) & (np.hypot(rows, columns) < REACH + 0.1)
    if np.count_nonzero(behind) < 3:
        return True
    return bool(along[behind].std() >= MIN_ELONGATION * across[behind].std())


def _square(one: Cell, other: Cell) -> float:
    """Return the squared distance of two cells."""
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2


def _differ(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> Cells:
    return (one != other) & (one > 0) & (other > 0)
