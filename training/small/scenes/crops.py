"""Boxes, windows and colours of images that scenes are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

Box = tuple[int, int, int, int]
"""Left, top, right and bottom."""


def jitter_colors(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Change brightness, contrast and saturation, each by a factor of up to e^strength."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(float(np.exp(rng.uniform(-strength, strength))))
    return image


def random_crop(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Squash a random window of an image to a square of `size` pixels."""
    w, h = (int(side * rng.uniform(0.4, 1.0)) for side in image.size)
    left, top = int(rng.integers(image.width - w + 1)), int(rng.integers(image.height - h + 1))
    window = image.convert("RGB").crop((left, top, left + w, top + h))
    return window.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    """Return the smallest box around a mask (H, W) that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def widen(
    box: Box,
    margin: float,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Box:
    """Grow a box by up to `margin` of its side in each direction, within the image."""
    left, top, right, bottom = box
    room = margin * max(right - left, bottom - top)
    grow = rng.uniform(0, 1, 4) * room
    return (
        max(0, int(left - grow[0])),
        max(0, int(top - grow[1])),
        min(shape[1], int(right + grow[2]) + 1),
        min(shape[0], int(bottom + grow[3]) + 1),
    )


def crop(array: npt.NDArray[Any], window: Box) -> npt.NDArray[Any]:
    """Return the part of an array (H, W, ..) within a window."""
    left, top, right, bottom = window
    return array[top:bottom, left:right]
