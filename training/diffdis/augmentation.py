"""The official DiffDIS augmentation, in its order.

Image, mask and edge map get the same geometry; colours change in the image only. No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

FLIP_CHANCE = 0.5
LARGEST_CROP = 30  # pixels cut away of either side in all, at least 1
ROTATION_CHANCE = 0.2
LARGEST_ANGLE = 15  # degrees
ENHANCERS = (
    (ImageEnhance.Brightness, 5, 15),
    (ImageEnhance.Contrast, 5, 15),
    (ImageEnhance.Color, 0, 20),
    (ImageEnhance.Sharpness, 0, 30),
)
"""What is changed, and the least and largest factor in tenths."""

FloatPlanes = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Planes:
    """An image (RGB) with its mask and edge map (L), all of one size."""

    image: Image.Image
    mask: Image.Image
    edge: Image.Image

    def map(self, change: Callable[[Image.Image], Image.Image]) -> Planes:
        """Apply a function to all three."""
        return Planes(change(self.image), change(self.mask), change(self.edge))


def augment(planes: Planes, rng: np.random.Generator) -> Planes:
    """Mirror, crop, rotate and recolour as the official training does."""
    if rng.random() < FLIP_CHANCE:
        planes = flipped(planes)
    planes = _cropped(planes, rng)
    if rng.random() < ROTATION_CHANCE:
        angle = int(rng.integers(-LARGEST_ANGLE, LARGEST_ANGLE))
        planes = planes.map(lambda plane: plane.rotate(angle, Image.Resampling.BICUBIC))
    image = planes.image
    for enhancer, least, largest in ENHANCERS:
        factor = int(rng.integers(least, largest, endpoint=True)) / 10
        image = enhancer(image).enhance(factor)
    return Planes(image, planes.mask, planes.edge)


def flipped(planes: Planes) -> Planes:
    """Mirror left and right."""
    return planes.map(lambda plane: plane.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def _cropped(planes: Planes, rng: np.random.Generator) -> Planes:
    """Cut to a window in the middle, 1 to 30 pixels narrower and lower than the image."""
    width, height = planes.image.size
    if min(width, height) <= LARGEST_CROP:
        return planes  # the official recipe does not handle images this small
    wide = int(rng.integers(width - LARGEST_CROP, width))
    high = int(rng.integers(height - LARGEST_CROP, height))
    box = ((width - wide) // 2, (height - high) // 2, (width + wide) // 2, (height + high) // 2)
    return planes.map(lambda plane: plane.crop(box))


def squash(planes: Planes, size: int, stretch: bool = True) -> FloatPlanes:
    """Resize to a square and scale to [-1, 1]; (5, size, size): red, green, blue, mask, edge.

    stretch: by each plane's own extremes, as in the official training (an image's three colours
    together); otherwise, and for a plane of one value, 0..255 becomes -1..1.
    """
    shape = (size, size)
    resized = planes.map(lambda plane: plane.resize(shape, Image.Resampling.BILINEAR))
    parts = (resized.image.convert("RGB"), resized.mask, resized.edge)
    scaled = [_scaled(np.asarray(part, np.float32), stretch) for part in parts]
    return np.concatenate([np.moveaxis(scaled[0], -1, 0), scaled[1][None], scaled[2][None]])


def _scaled(values: FloatPlanes, stretch: bool) -> FloatPlanes:
    low, high = (values.min(), values.max()) if stretch else (0.0, 255.0)
    if low == high:  # official code divides by zero here
        low, high = np.float32(0), np.float32(255)
    return ((values - low) / (high - low) * 2 - 1).astype(np.float32)
