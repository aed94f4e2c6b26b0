"""Looking at a part of an image at the model's full working size, after all of it was seen.

After LawDIS (Yan et al., ICCV 2025), which refines windows that a user draws; here the network is
the same for both, and starts from what it said before where it starts from an answer at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError, RGBImage, SegmentationResult
from segdemo.windows import Window

MARGIN = 1.3
"""Side of the second look's window, relative to the box around the first look's mask."""

FEATHER = 0.12
"""Width of the band along a window's border where two masks are blended, relative to its side."""

SMALLEST_WINDOW = 16  # pixels a side

Look = Callable[[RGBImage, FloatMap], SegmentationResult]
"""Segments a part (h, w, 3) of an image; also given the mask so far of that part, (h, w)."""


def look_again(image: RGBImage, first: SegmentationResult, look: Look) -> SegmentationResult:
    """Return the mean of a first result and that of a window around the subject it found.

    Outside the window the second says 0. Where nothing was found, or the window would be the whole
    image, the first stays.
    """
    inside = first.binary()
    if not inside.any():
        return first
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    window = Window.around(box, MARGIN).rounded()
    if window.covers(image.shape[1], image.shape[0]):
        return first
    second = look(window.cut(image), window.cut(first.mask))
    size = (image.shape[0], image.shape[1])

    def mean(whole: FloatMap, part: FloatMap) -> FloatMap:
        return (whole + window.placed(part, size)) * np.float32(0.5)

    mask = mean(first.mask, second.mask)
    if first.edge is None:
        return replace(first, mask=mask)
    return replace(first, mask=mask, edge=mean(first.edge, second.known_edge))


def refine_window(
    image: RGBImage, mask: FloatMap, box: npt.NDArray[np.floating], look: Look
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
    found = look(window.cut(image), window.cut(mask)).mask
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
