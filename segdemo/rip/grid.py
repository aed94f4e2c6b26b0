"""The working grid of RIP: blocks of pixels as cells, and back to pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import FloatMap

BoolMask = npt.NDArray[np.bool_]
"""(H, W) bool."""

BoolMasks = npt.NDArray[np.bool_]
"""(N, H, W) bool."""

LabelImage = npt.NDArray[np.int32]
"""(H, W) int32, 0 = background."""


class Grid:
    """A grid over an image: cells of `factor` x `factor` pixels, the last ones cut off."""

    def __init__(self, size: tuple[int, int], cells: int) -> None:
        """Cover (height, width) pixels by at most `cells` cells along the longer side."""
        self.size = size
        self.factor = max(1, -(-max(size) // cells))
        self.shape = (-(-size[0] // self.factor), -(-size[1] // self.factor))

    def max_pool(self, edge: FloatMap) -> FloatMap:
        """Return the maximum of every cell: lines stay closed."""
        rows = np.maximum.reduceat(edge, self._starts(0), axis=0)
        return np.maximum.reduceat(rows, self._starts(1), axis=1)

    def downsample(self, mask: BoolMask) -> BoolMask:
        """Return the cells that a mask (H, W) covers by half or more, (h, w)."""
        # counted, not averaged as grey values: halves must count alike in `downsample_labels`
        starts = range(0, self.size[0], self.factor)
        rows = [mask[start : start + self.factor].sum(0, dtype=np.uint32) for start in starts]
        pixels = np.add.reduceat(np.stack(rows), self._starts(1), axis=1)
        covered: BoolMask = 2 * pixels >= self._pixels
        return covered

    def downsample_labels(self, labels: LabelImage, count: int) -> BoolMasks:
        """Return `downsample` of each label 1 to `count` in (H, W), (count, h, w)."""
        height, width = self.shape
        masks = np.zeros((count, height, width), bool)
        column = np.arange(self.size[1]) // self.factor
        for row in range(height):
            strip = labels[row * self.factor : (row + 1) * self.factor]
            place = strip.astype(np.int64) * width + column
            pixels = np.bincount(place.ravel(), minlength=(count + 1) * width)
            masks[:, row] = 2 * pixels.reshape(-1, width)[1:] >= self._pixels[row]
        return masks

    def touched(self, mask: BoolMask) -> BoolMask:
        """Return the cells with any pixel of a mask (H, W), (h, w)."""
        rows = np.logical_or.reduceat(mask, self._starts(0), axis=0)
        cells: BoolMask = np.logical_or.reduceat(rows, self._starts(1), axis=1)
        return cells

    def upsample(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Repeat values of cells (h, w) for each of their pixels, (H, W)."""
        height, width = self.size
        return values.repeat(self.factor, 0)[:height].repeat(self.factor, 1)[:, :width]

    def upsample_labels(
        self, labels: LabelImage, is_edge: BoolMask, covered: BoolMask, fill: int
    ) -> LabelImage:
        """Enlarge labels (h, w) to (H, W).

        Outlines are smooth: a pixel takes a label where the enlarged indicator is at least one
        half. What input masks cover up to `fill` cells beyond goes to the nearest label; on an edge
        beyond them nothing is labelled.
        """
        large = self._smooth(labels)
        distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
        filled = np.where(distance <= fill, labels[tuple(nearest)], 0)
        large = np.where((large == 0) & covered, self.upsample(filled), large)
        large[~covered & self.upsample(is_edge)] = 0
        return large

    @cached_property
    def _pixels(self) -> npt.NDArray[np.int64]:
        """Pixels of every cell, (h, w)."""
        rows, columns = (np.diff(self._starts(axis), append=self.size[axis]) for axis in (0, 1))
        return np.outer(rows, columns)

    def _starts(self, axis: int) -> npt.NDArray[np.int64]:
        return np.arange(0, self.size[axis], self.factor)

    def _smooth(self, labels: LabelImage) -> LabelImage:
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
