"""Regions of an edge map, and how they merge over their weakest borders.

The basins of a watershed are merged upward, as in ultrametric contour maps (Arbelaez et al.,
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
from skimage.segmentation import watershed

from segdemo.datatypes import FloatMap
from segdemo.rip.grid import BoolMask, LabelImage

SMOOTHING = 1.0  # cells; finer ripples of an edge map make no basins
NECK_WEIGHT = 0.09
SIZE_WEIGHT = 0.08
NEUTRAL_SIZE = 0.005  # share of the image at which the size says nothing

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Borders:
    """Borders between regions: first < second (K,), the sum of the edge along each, its length.

    Lengths are pairs of cells that lie on either side.
    """

    first: Ints
    second: Ints
    sums: npt.NDArray[np.float64]
    lengths: Ints


def find_basins(edge: FloatMap, inside: BoolMask) -> LabelImage:
    """Label the basins of an edge map (h, w) within `inside` from 1 on, 0 outside."""
    return watershed(ndimage.gaussian_filter(edge, SMOOTHING), mask=inside).astype(np.int32)


def find_borders(labels: npt.NDArray[np.integer], edge: FloatMap) -> Borders:
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


def evidence(strength: float, length: float, area: float, image: float) -> float:
    """Return how surely a border separates two objects, in units of edge strength.

    strength: the edge's mean along it. length: in cells. area: of the smaller side, image: of
    all, in cells. A border that is short for what it bounds is a neck, where two objects touch; a
    small region is more often a detail. The weights were chosen on photographs with true instances,
    near a logistic regression's, divided by that of the strength.
    """
    neck = math.log(length / math.sqrt(area))
    return strength - NECK_WEIGHT * neck + SIZE_WEIGHT * math.log(area / (NEUTRAL_SIZE * image))


def merge_hierarchical(
    areas: Ints, borders: Borders, threshold: float, image: float
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Merge regions over the border of least evidence, repeatedly, while it is below a threshold.

    areas: (N,) cells of each region. image: cells of the whole image. Returns the representative of
    each, (N,), and for those the largest evidence that was merged over, (N,), at least 0.
    """
    return _RegionGraph(areas, borders, image).merge(threshold)


class _RegionGraph:
    """A region adjacency graph; a heap holds its borders, of which changed ones are stale.

    Own code: skimage.graph.merge_hierarchical merges the same regions in twice the time.
    """

    def __init__(self, areas: Ints, borders: Borders, image: float) -> None:
        self._areas = [float(area) for area in areas]
        self._image = image
        self._neighbours: list[dict[int, tuple[float, int]]] = [{} for _ in areas]
        self._versions = [0] * len(areas)
        self._parents = list(range(len(areas)))
        self._inner = [0.0] * len(areas)  # the largest evidence inside
        self._heap: list[tuple[float, int, int, int]] = []
        pairs = zip(*(v.tolist() for v in vars(borders).values()), strict=True)
        for one, other, total, length in pairs:
            self._neighbours[one][other] = self._neighbours[other][one] = (total, length)
            self._push(one, other)
        heapq.heapify(self._heap)

    def merge(self, threshold: float) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Merge; return the representatives, and the largest evidence within each."""
        while self._heap and self._heap[0][0] < threshold:
            found, one, other, version = heapq.heappop(self._heap)
            if other in self._neighbours[one] and version == self._version(one, other):
                self._merge_pair(one, other, found)
        roots = np.array(self._parents)
        while (further := roots[roots]).tobytes() != roots.tobytes():
            roots = further
        return roots, np.array(self._inner)

    def _merge_pair(self, one: int, other: int, found: float) -> None:
        if len(self._neighbours[one]) < len(self._neighbours[other]):
            one, other = other, one
        self._parents[other] = one
        self._inner[one] = max(self._inner[one], self._inner[other], found)
        self._areas[one] += self._areas[other]
        self._versions[one] += 1
        del self._neighbours[one][other], self._neighbours[other][one]
        for third, (total, length) in self._neighbours[other].items():
            del self._neighbours[third][other]
            known_total, known_length = self._neighbours[one].get(third, (0.0, 0))
            border = (known_total + total, known_length + length)
            self._neighbours[one][third] = self._neighbours[third][one] = border
        self._neighbours[other] = {}
        for third in self._neighbours[one]:
            self._push(one, third)

    def _push(self, one: int, other: int) -> None:
        total, length = self._neighbours[one][other]
        area = min(self._areas[one], self._areas[other])
        found = evidence(total / length, length, area, self._image)
        heapq.heappush(self._heap, (found, one, other, self._version(one, other)))

    def _version(self, one: int, other: int) -> int:
        return self._versions[one] + self._versions[other]
