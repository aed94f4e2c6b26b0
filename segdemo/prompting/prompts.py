"""What a user says of an object, as values and as a map for a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.windows import Points, Window

CHANNELS = 4
"""Channels of a prompt map: box, positive clicks, negative clicks, mask so far."""

CLICK_RADIUS = 1 / 40
"""Radius of a click's disk, as a share of the window's side."""


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
