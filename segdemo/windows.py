"""Windows of an image: cut out for a network, and the answer brought back to its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

REDUCTION = 1.5
"""Images are box-filtered when they are reduced by more than this: a transform alone aliases."""

Points = npt.NDArray[np.floating]


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

    def to_window(self, points: Points, side: int) -> Points:
        """Return points (n, 2) of the image as points of the squashed window."""
        scale = side / np.asarray(self.size)
        return (np.asarray(points, float) - (self.left, self.top)) * scale
