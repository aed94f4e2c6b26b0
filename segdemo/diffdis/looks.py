"""A second look at the part around the subject, at the model's full working size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from segdemo.datatypes import FloatMap, RGBImage, SegmentationResult
from segdemo.windows import Window

MARGIN = 1.3
"""Side of the second look's window, relative to the box around the first look's mask."""

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
