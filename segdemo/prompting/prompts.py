"""What a user says of an object, and the window of the image in which a network looks for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

CHANNELS = 4
"""Channels of a prompt map: box, positive clicks, negative clicks, mask so far."""

CLICK_RADIUS = 1 / 40
"""Radius of a click's disk, as a share of the window's side."""

REDUCTION = 1.5
"""Images are box-filtered when they are reduced by more than this: a transform alone aliases."""

Points = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Prompt:
    """Says which object is meant, in pixels of the image.

    box: (4,) left, top, right, bottom, or None. points: (n, 2), x and y of clicks. labels: (n,)
    True for clicks on the object, False for clicks beside it. mask: (H, W) in [0, 1], the answer
    that the clicks correct, or None.
    """

    box: Points | None = None
    points: Points | None = None
    labels: npt.NDArray[np.bool_] | None = None
    mask: npt.NDArray[np.floating] | None = None


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


def prompt_map(prompt: Prompt, window: Window, side: int) -> npt.NDArray[np.float32]:
    """Draw a prompt for a network, (4, side, side).

    Channel 0: 1 inside the box, -1 outside, 0 everywhere without a box. 1 and 2: 1 in disks around
    positive and negative clicks, else 0. 3: the mask so far from -1 to 1, 0 without one.
    """
    drawn = np.zeros((CHANNELS, side, side), np.float32)
    if prompt.box is not None:
        corners = window.to_window(np.reshape(prompt.box, (2, 2)), side)
        (left, top), (right, bottom) = np.rint(corners.clip(0, side)).astype(int)
        drawn[0] = -1
        drawn[0, top:bottom, left:right] = 1
    if prompt.points is not None and len(prompt.points):
        assert prompt.labels is not None
        rows, columns = np.mgrid[:side, :side] + 0.5
        for (x, y), positive in zip(
            window.to_window(prompt.points, side), prompt.labels, strict=True
        ):
            disk = (columns - x) ** 2 + (rows - y) ** 2 <= (CLICK_RADIUS * side) ** 2
            drawn[1 if positive else 2][disk] = 1
    if prompt.mask is not None:
        image = Image.fromarray(np.asarray(prompt.mask, np.float32))
        drawn[3] = 2 * np.asarray(window.crop(image, side)) - 1
    return drawn
