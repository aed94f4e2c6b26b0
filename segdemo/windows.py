"""Windows of an image: cut out for a network, and the answer brought back to its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

REDUCTION = 1.5
"""Images are box-filtered when they are reduced by more than this: a transform alone aliases."""

Points = npt.NDArray[np.floating]
_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True)
class Window:
    """A rectangle of the image, in pixels; it may reach beyond the image."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, box: Points, margin: float) -> Window:
        """Return the window around a box, `margin` times as large; no side below half the other."""
        left, top, right, bottom = (float(value) for value in box)
        width, height = max(1.0, right - left) * margin, max(1.0, bottom - top) * margin
        width, height = max(width, height / 2), max(height, width / 2)
        x, y = (left + right) / 2, (top + bottom) / 2
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Window:
        """Return the window that is the image. size: its width and height."""
        return cls(0.0, 0.0, float(size[0]), float(size[1]))

    def rounded(self) -> Window:
        """Return the window of whole pixels that holds this one."""
        corners = (math.floor(self.left), math.floor(self.top))
        return Window(*map(float, (*corners, math.ceil(self.right), math.ceil(self.bottom))))

    def covers(self, width: int, height: int) -> bool:
        """Return whether an image of that size lies inside."""
        return min(self.left, self.top) <= 0 and self.right >= width and self.bottom >= height

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels of the image."""
        return self.right - self.left, self.bottom - self.top

    def crop(self, image: Image.Image, side: int) -> Image.Image:
        """Squash the window's part of an image to `side` x `side`; black beyond the image."""
        factor = max(1.0, *(length / side / REDUCTION for length in self.size))
        if factor > REDUCTION:
            width, height = (max(1, round(length / factor)) for length in image.size)
            small = image.resize((width, height), Image.Resampling.BOX)
        else:
            small = image
        x, y = small.width / image.width, small.height / image.height
        extent = (self.left * x, self.top * y, self.right * x, self.bottom * y)
        method, filter_ = Image.Transform.EXTENT, Image.Resampling.BILINEAR
        return small.transform((side, side), method, extent, filter_)

    def paste_back(
        self, values: npt.NDArray[np.float32], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Bring a map (side, side) of the window back to the image; 0 outside; (H, W).

        size: width and height of the image.
        """
        x, y = (values.shape[1] / self.size[0], values.shape[0] / self.size[1])
        matrix = (x, 0.0, -self.left * x, 0.0, y, -self.top * y)
        method, filter_ = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return np.asarray(Image.fromarray(values).transform(size, method, matrix, filter_))

    def cut(self, image: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
        """Copy the window out of an image (H, W, ..), as it is; 0 beyond the image.

        For windows of whole pixels.
        """
        left, top, right, bottom = self._corners
        found = np.zeros((bottom - top, right - left, *image.shape[2:]), image.dtype)
        there = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        y, x = max(0, -top), max(0, -left)
        found[y : y + there.shape[0], x : x + there.shape[1]] = there
        return found

    def placed(
        self, values: npt.NDArray[np.float32], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Put a map that `cut` could have given in its place; 0 outside. size: height and width."""
        left, top, right, bottom = self._corners
        placed = np.zeros(size, np.float32)
        there = placed[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        y, x = max(0, -top), max(0, -left)
        there[:] = values[y : y + there.shape[0], x : x + there.shape[1]]
        return placed

    @property
    def _corners(self) -> tuple[int, int, int, int]:
        return int(self.left), int(self.top), int(self.right), int(self.bottom)

    def to_window(self, points: Points, side: int) -> Points:
        """Return points (n, 2) of the image as points of the squashed window."""
        scale = side / np.asarray(self.size)
        return (np.asarray(points, float) - (self.left, self.top)) * scale
