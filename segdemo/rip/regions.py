"""A picture of basins between edges, and what remains when they join over their weakest borders.

The basins of a watershed are joined upward, as in ultrametric contour maps (Arbelaez et al.,
"Contour Detection and Hierarchical Image Segmentation"), but a border's weight takes in its length
and the size of what it bounds. One stroke of edge inside an object cannot cut it, and a gap in a
border cannot open it: whole borders count.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, Labels

FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)
SMOOTHING = 1.0  # cells; finer ripples of an edge map make no basins
SLOPE = 6.0  # cells; how far a flat cell looks for the way down
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Borders:
    """Which regions meet: first < second (K,), the sum of the edge along each border, its length.

    Lengths are pairs of cells that lie on either side.
    """

    first: Ints
    second: Ints
    sums: npt.NDArray[np.float64]
    lengths: Ints


def basins(edge: FloatMap, inside: npt.NDArray[np.bool_]) -> Labels:
    """Number the basins of an edge map (h, w) within `inside` from 1 on, 0 outside.

    Each cell runs down to its lowest neighbour; those that end in one place are a basin.
    """
    height = ndimage.gaussian_filter(edge, SMOOTHING)
    height += 1e-3 * ndimage.gaussian_filter(edge, SLOPE)
    height = np.where(inside, height.round(5), np.inf)  # what rounding leaves is no basin
    padded = np.pad(height, 1, constant_values=np.inf)
    rows, columns = edge.shape
    cells = np.arange(edge.size).reshape(edge.shape)
    lowest, below = height.copy(), cells.copy()
    for dy, dx in STEPS:
        beside = padded[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns]
        lower = beside < lowest
        lowest[lower] = beside[lower]
        below[lower] = cells[lower] + dy * columns + dx
    ends = below.ravel()
    while (further := ends[ends]).tobytes() != ends.tobytes():
        ends = further
    bottoms = inside & (ends == cells.ravel()).reshape(edge.shape)
    numbers, _ = ndimage.label(bottoms, FOUR_NEIGHBOURS)  # a flat bottom is one
    return np.where(inside, numbers.ravel()[ends].reshape(edge.shape), 0).astype(np.int32)


def borders(labels: npt.NDArray[np.integer], edge: FloatMap) -> Borders:
    """Measure the borders between labels above 0 in (h, w); a pair of cells has its larger edge."""
    low, high, strengths = [], [], []
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        one, other = labels[here], labels[there]
        meet = (one != other) & (one > 0) & (other > 0)
        low.append(np.minimum(one[meet], other[meet]))
        high.append(np.maximum(one[meet], other[meet]))
        strengths.append(np.maximum(edge[here][meet], edge[there][meet]))
    base = int(labels.max(initial=0)) + 1
    keys = np.concatenate(low).astype(np.int64) * base + np.concatenate(high)
    pairs, which = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(pairs))
    np.add.at(sums, which, np.concatenate(strengths))
    return Borders(pairs // base, pairs % base, sums, np.bincount(which, minlength=len(pairs)))


def evidence(strength: float, length: float, area: float, picture: float) -> float:
    """Return how surely a border parts two objects, in units of edge strength.

    strength: the edge's mean along it. length: in cells. area: of the smaller side, picture: of
    all, in cells. A border that is short for what it bounds is a neck, where two objects touch; a
    small piece is more often a detail. The weights were chosen on photographs with true instances,
    near a logistic regression's, divided by that of the strength.
    """
    neck = math.log(length / math.sqrt(area))
    return strength - NECK * neck + SIZE * math.log(area / (USUAL * picture))


NECK = 0.09
SIZE = 0.08
USUAL = 0.005  # share of the picture at which the size says nothing


def joined(
    areas: npt.NDArray[np.int64], between: Borders, most: float, picture: float
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Join regions over the border of least evidence, again and again, up to evidence `most`.

    areas: (N,) cells of each region. Returns the representative of each, (N,), and for those the
    largest evidence that was joined over, (N,), at least 0.
    """
    return _Joining(areas, between, picture).up_to(most)


class _Joining:
    """Regions that join; a heap holds the borders, of which those that changed since are stale."""

    def __init__(self, areas: npt.NDArray[np.int64], between: Borders, picture: float) -> None:
        self._areas = [float(area) for area in areas]
        self._picture = picture
        self._beside: list[dict[int, tuple[float, int]]] = [{} for _ in areas]
        self._versions = [0] * len(areas)
        self._parents = list(range(len(areas)))
        self._within = [0.0] * len(areas)  # the largest evidence inside
        self._heap: list[tuple[float, int, int, int]] = []
        pairs = zip(*(v.tolist() for v in vars(between).values()), strict=True)
        for one, other, total, length in pairs:
            self._beside[one][other] = self._beside[other][one] = (total, length)
            self._push(one, other)
        heapq.heapify(self._heap)

    def up_to(self, most: float) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Join; return the representatives, and the largest evidence within each."""
        while self._heap and self._heap[0][0] < most:
            found, one, other, version = heapq.heappop(self._heap)
            if other in self._beside[one] and version == self._version(one, other):
                self._join(one, other, found)
        roots = np.array(self._parents)
        while (further := roots[roots]).tobytes() != roots.tobytes():
            roots = further
        return roots, np.array(self._within)

    def _join(self, one: int, other: int, found: float) -> None:
        if len(self._beside[one]) < len(self._beside[other]):
            one, other = other, one
        self._parents[other] = one
        self._within[one] = max(self._within[one], self._within[other], found)
        self._areas[one] += self._areas[other]
        self._versions[one] += 1
        del self._beside[one][other], self._beside[other][one]
        for third, (total, length) in self._beside[other].items():
            del self._beside[third][other]
            known, long = self._beside[one].get(third, (0.0, 0))
            both = (known + total, long + length)
            self._beside[one][third] = self._beside[third][one] = both
        self._beside[other] = {}
        for third in self._beside[one]:
            self._push(one, third)

    def _push(self, one: int, other: int) -> None:
        total, length = self._beside[one][other]
        area = min(self._areas[one], self._areas[other])
        found = evidence(total / length, length, area, self._picture)
        heapq.heappush(self._heap, (found, one, other, self._version(one, other)))

    def _version(self, one: int, other: int) -> int:
        return self._versions[one] + self._versions[other]
