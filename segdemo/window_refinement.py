"""A part of an image that is looked at again, and its new mask blended into the old one.

After LawDIS (Yan et al., ICCV 2025), which refines windows that a user draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.windows import Window

FEATHER = 0.12
"""Width of the band along a window's border where two masks are blended, relative to its side."""

SMALLEST_WINDOW = 16  # pixels a side

PartLook = Callable[[RGBImage, FloatMap], FloatMap]
"""Finds the mask (h, w) in [0, 1] of a part (h, w, 3) of an image, given its mask so far."""


def refine_window(
    image: RGBImage, mask: FloatMap, box: npt.NDArray[np.floating], look: PartLook
) -> FloatMap:
    """Return a mask that was looked at again inside a box, blended in without a seam.

    image: (H, W, 3); mask: (H, W) in [0, 1]; box: left, top, right and bottom in pixels. Raises
    InputError for a box with less than 16 pixels a side inside the image.
    """
    height, width = mask.shape
    low = np.clip(np.floor(box[:2]), 0, (width, height))
    high = np.clip(np.ceil(box[2:]), 0, (width, height))
    if not (high - low >= SMALLEST_WINDOW).all():  # also where a side is not a number
        raise InputError(
            f"The window should be at least {SMALLEST_WINDOW} x {SMALLEST_WINDOW} pixels of the "
            "image: draw a larger one."
        )
    window = Window(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    found = look(window.cut(image), window.cut(mask))
    weight = np.outer(
        _ramp(found.shape[0], low[1] > 0, high[1] < height),
        _ramp(found.shape[1], low[0] > 0, high[0] < width),
    )
    share = window.placed(weight, (height, width))
    return mask + share * (window.placed(found, (height, width)) - mask)


def _ramp(length: int, rises: bool, falls: bool) -> npt.NDArray[np.float32]:
    """Return weights (length,) of 1 that rise from 0 or fall to 0 at a window's ends."""
    distance = (np.arange(length, dtype=np.float32) + 0.5) / max(1.0, FEATHER * length)
    ramp = np.minimum(distance, 1)
    ones = np.ones_like(ramp)
    return np.minimum(ramp if rises else ones, ramp[::-1] if falls else ones)
