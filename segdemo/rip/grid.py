"""The working grid of RIP: pixels in blocks, and the way back to pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import FloatMap, Labels

Number = TypeVar("Number", bound=np.integer[Any])


class Grid:
    """The working grid over a picture: blocks of `factor` x `factor` pixels, the last ones cut."""

    def __init__(self, size: tuple[int, int], cells: int) -> None:
        """Cover (height, width) pixels by at most `cells` blocks along the longer side."""
        self.size = size
        self.factor = max(1, -(-max(size) // cells))
        self.shape = (-(-size[0] // self.factor), -(-size[1] // self.factor))

    def strongest(self, edge: FloatMap) -> FloatMap:
        """Return the maximum of every block: lines stay closed."""
        rows = np.maximum.reduceat(edge, self._starts(0), axis=0)
        return np.maximum.reduceat(rows, self._starts(1), axis=1)

    def majority(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return the blocks that a mask (H, W) covers by half or more, (h, w)."""
        # counted, not averaged as grey values: halves must count alike in `majorities`
        starts = range(0, self.size[0], self.factor)
        rows = [mask[start : start + self.factor].sum(0, dtype=np.uint32) for start in starts]
        pixels = np.add.reduceat(np.stack(rows), self._starts(1), axis=1)
        covered: npt.NDArray[np.bool_] = 2 * pixels >= self._pixels
        return covered

    def majorities(self, labels: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.bool_]:
        """Return `majority` of each label 1 to `count` in (H, W), (count, h, w)."""
        height, width = self.shape
        masks = np.zeros((count, height, width), bool)
        column = np.arange(self.size[1]) // self.factor
        for row in range(height):
            strip = labels[row * self.factor : (row + 1) * self.factor]
            place = strip.astype(np.int64) * width + column
            pixels = np.bincount(place.ravel(), minlength=(count + 1) * width)
            masks[:, row] = 2 * pixels.reshape(-1, width)[1:] >= self._pixels[row]
        return masks

    def share(self, mask: npt.NDArray[np.bool_]) -> FloatMap:
        """Return the share of every block that a mask covers."""
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        return np.asarray(grey.reduce(self.factor), np.float32) / np.float32(255)

    def labels_at_full_size(
        self,
        labels: Labels,
        is_edge: npt.NDArray[np.bool_],
        covered: npt.NDArray[np.bool_],
        fill: int,
    ) -> Labels:
        """Enlarge labels (h, w) to (H, W).

        Outlines are smooth: a pixel takes a label where the enlarged indicator is at least one
        half. What input masks cover up to `fill` cells beyond goes to the nearest label; on an edge
        beyond them nothing is labelled.
        """
        large = self._smooth(labels)
        away, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
        filled = np.where(away <= fill, labels[tuple(nearest)], 0)
        large = np.where((large == 0) & covered, self.repeat(filled), large)
        large[~covered & self.repeat(is_edge)] = 0
        return large

    def repeat(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Enlarge values of blocks to pixels."""
        height, width = self.size
        return values.repeat(self.factor, 0)[:height].repeat(self.factor, 1)[:, :width]

    @cached_property
    def _pixels(self) -> npt.NDArray[np.int64]:
        """Pixels of every block, (h, w)."""
        rows, columns = (np.diff(self._starts(axis), append=self.size[axis]) for axis in (0, 1))
        return np.outer(rows, columns)

    def _starts(self, axis: int) -> npt.NDArray[np.int64]:
        return np.arange(0, self.size[axis], self.factor)

    def _smooth(self, labels: Labels) -> Labels:
        if self.factor == 1:
            return labels.copy()
        height, width = self.size
        best = np.full((height, width), 127, np.uint8)  # 128 is the first value above one half
        large = np.zeros((height, width), np.int32)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            if box is None:
                continue
            rows, columns = (
                slice(max(0, side.start - 1), min(length, side.stop + 1))
                for side, length in zip(box, labels.shape, strict=True)
            )
            part = Image.fromarray((labels[rows, columns] == label).astype(np.uint8) * 255)
            enlarged = part.resize(
                (part.width * self.factor, part.height * self.factor), Image.Resampling.BILINEAR
            )
            top, left = rows.start * self.factor, columns.start * self.factor
            window = (slice(top, top + enlarged.height), slice(left, left + enlarged.width))
            inside = np.asarray(enlarged)[: height - top, : width - left]
            stronger = inside > best[window]
            best[window][stronger] = inside[stronger]
            large[window][stronger] = label
        return large


def with_nearest(labels: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return labels (h, w) in which what has none, 0, has the nearest one."""
    place = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    grown: npt.NDArray[Number] = labels[tuple(place)]
    return grown
