"""Masks as polygons and back.

Polygons run along the borders of pixels, so (0, 0) is the upper left corner of the upper left
pixel, and pycocotools fills them to the very mask they came from. One polygon stands for one region
of pixels that share sides; a hole is joined to what surrounds it by a cut without width.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from segdemo.annotations import rle
from segdemo.datatypes import InputError

Point = tuple[int, int]
"""(x, y) of a pixel's corner."""

Polygon = list[Point]

FARTHEST = 1  # how many image sizes a corner may lie outside; more costs memory for nothing


@dataclass(frozen=True)
class Outlines:
    """The polygons of one mask. holes: how many were joined to them by cuts."""

    polygons: list[Polygon]
    holes: int


def trace(mask: npt.NDArray[np.bool_]) -> Outlines:
    """Return the outlines of a (H, W) mask, its holes cut open; an empty one has none."""
    loops = _Loops.of(mask)
    cuts = sorted(loops.holes)  # from left to right: what lies left of a hole is joined already
    for start in cuts:
        loops.join(start)
    return Outlines([loops.walk(start) for start in sorted(loops.outer)], len(cuts))


def trace_filled(mask: npt.NDArray[np.bool_]) -> Outlines:
    """Return the outlines of a (H, W) mask without its holes, which are counted."""
    loops = _Loops.of(mask)
    return Outlines([loops.walk(start) for start in sorted(loops.outer)], len(loops.holes))


def join(polygons: Sequence[Polygon]) -> Polygon:
    """Join polygons to one by lines there and back, which enclose nothing."""
    joined = list(polygons[0])
    for polygon in polygons[1:]:
        joined += [polygons[0][0], *polygon, polygon[0]]
    return joined + [polygons[0][0]] * (len(polygons) > 1)


def fill(polygons: Iterable[Sequence[float]], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Fill polygons to one (H, W) mask; see `fill_counts`."""
    return rle.decode_counts(fill_counts(polygons, size), size)


def fill_counts(polygons: Iterable[Sequence[float]], size: tuple[int, int]) -> bytes:
    """Fill polygons, each x1, y1, x2, y2 .. in pixels, to one mask's compressed runs.

    size: (height, width). Polygons of fewer than three corners enclose nothing. Raises InputError
    for odd numbers of coordinates and for corners far outside the image.
    """
    height, width = size
    kept = []
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 1 or len(corners) % 2:
            raise InputError("a polygon must be pairs of x and y")
        x, y = corners[0::2], corners[1::2]
        inside = (np.abs(x - width / 2) <= (0.5 + FARTHEST) * width).all() and (
            np.abs(y - height / 2) <= (0.5 + FARTHEST) * height
        ).all()
        if not inside:  # also where a coordinate is not a number
            raise InputError(f"a polygon leads far out of the image, which is {width} x {height}")
        if len(corners) >= 6:
            kept.append(corners.tolist())
    filled = mask_api.frPyObjects(kept, height, width) if kept else []
    return rle.merge([one["counts"] for one in filled], size)


class _Loops:
    """Borders between mask and background, as closed chains of corners.

    outer, holes: the corner each chain is entered at, the leftmost, of these the uppermost one.
    """

    def __init__(self, corners: list[Point], following: list[int]) -> None:
        self._corners = corners
        self._following = following
        self.outer: list[Point] = []
        self.holes: list[Point] = []
        self._entries: dict[Point, int] = {}
        # by x: upper end, lower end and first corner of the vertical sides, from top to bottom
        self._sides: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> _Loops:
        """Find the corners of a mask, and which follows which."""
        padded = np.pad(mask, 1)
        upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
        lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
        odd = upper_left ^ upper_right ^ lower_left ^ lower_right
        # regions that only touch at a corner are kept apart there: it counts twice
        touching = (upper_left == lower_right) & (upper_right == lower_left)
        touching &= upper_left != upper_right
        y1, x1 = np.nonzero(odd | touching)
        y2, x2 = np.nonzero(touching)
        y, x = np.concatenate([y1, y2]), np.concatenate([x1, x2])
        second = np.concatenate([np.zeros(len(y1), np.int64), np.ones(len(y2), np.int64)])
        # The first of two leads left, the second right; which leads up is the one whose region the
        # upper sides bound: upper left and lower right are mask, or upper right and lower left
        falling = upper_left[y, x]
        down = np.where(falling, second, 1 - second)
        beside = _partners(np.lexsort((second, x, y)))
        above = _partners(np.lexsort((down, y, x)))
        corners = list(zip(x.tolist(), y.tolist(), strict=True))
        loops = cls(corners, [0] * len(corners))
        loops._chain(beside, above, lower_right[y, x].tolist())
        return loops

    def _chain(self, beside: list[int], above: list[int], inside: list[bool]) -> None:
        """Follow sides, across and down in turn, until each corner belongs to a chain.

        inside: whether the pixel to a corner's lower right is mask.
        """
        corners, following = self._corners, self._following
        visited = [False] * len(corners)
        for first in sorted(range(len(corners)), key=lambda i: corners[i]):
            if visited[first]:
                continue
            # leftmost and uppermost of its chain: one side leads right, the other down
            here = first
            while True:
                across = beside[here]
                visited[here] = visited[across] = True
                following[here], following[across] = across, above[across]
                self._add_side(across, above[across])
                here = above[across]
                if here == first:
                    break
            entry = corners[first]
            self._entries[entry] = first
            (self.outer if inside[first] else self.holes).append(entry)
        for sides in self._sides.values():
            sides.sort()

    def _add_side(self, start: int, end: int) -> None:
        x, y = self._corners[start]
        other = self._corners[end][1]
        self._sides[x].append((min(y, other), max(y, other), start))

    def join(self, entry: Point) -> None:
        """Join a hole to what lies left of it."""
        x, y = entry
        found = self._side_left_of(x, y)
        top, bottom, start = found
        side_x = self._corners[start][0]
        end = self._following[start]
        inner = self._entries[entry]
        last = inner
        while self._following[last] != inner:
            last = self._following[last]
        there, back, inner_again = (len(self._corners) + i for i in range(3))
        self._corners += [(side_x, y), (side_x, y), entry]
        self._following += [inner, end, back]
        self._following[start] = there
        self._following[last] = inner_again
        sides = self._sides[side_x]
        sides.remove(found)
        downward = self._corners[start][1] == top
        insort(sides, (top, y, start if downward else back))
        insort(sides, (y, bottom, back if downward else start))

    def _side_left_of(self, x: int, y: int) -> tuple[int, int, int]:
        """Return the nearest side left of a hole's entry that the pixel row below `y` meets."""
        for side_x in range(x - 1, -1, -1):
            sides = self._sides.get(side_x)
            if not sides:
                continue
            i = bisect_right(sides, (y, float("inf"))) - 1
            if i >= 0 and sides[i][0] <= y < sides[i][1]:
                return sides[i]
        raise AssertionError("a hole is surrounded")

    def walk(self, entry: Point) -> Polygon:
        """Return a chain's corners in order."""
        first = self._entries[entry]
        polygon = [self._corners[first]]
        here = self._following[first]
        while here != first:
            polygon.append(self._corners[here])
            here = self._following[here]
        return polygon


def _partners(order: npt.NDArray[np.intp]) -> list[int]:
    """Pair the first with the second, the third with the fourth .. in an order."""
    partners = np.empty(len(order), np.int64)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners.tolist()
