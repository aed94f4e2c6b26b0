"""What is made of a subject's mask: haze removed, another background, trimmed, in other formats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.files import write_png
from segdemo.images import cut_out, to_grey

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255 each."""
ImageFormat = Literal["png", "webp", "jpeg"]
SUFFIX: dict[ImageFormat, str] = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
WHITE: Colour = (255, 255, 255)
QUALITY = 92  # of WebP and JPEG, 0 to 100
FAINT = 0.05  # alpha up to which a pixel does not count when trimming


@dataclass(frozen=True)
class Levels:
    """A stretch of alpha against haze, as image editors call it.

    Up to `low` a pixel becomes clear, from `high` on solid, and between them in proportion; both in
    [0, 1]. Equal levels cut a mask: what exceeds them is solid. Raises InputError unless low is at
    most high.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the order."""
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"Clear up to {self.low:g} and solid from {self.high:g}: the first must not exceed "
                "the second, both from 0 to 1."
            )

    @classmethod
    def cutting_at(cls, threshold: float | None) -> Levels:
        """Return levels that cut at a threshold, or for None those that change nothing."""
        return cls() if threshold is None else cls(threshold, threshold)

    def apply(self, mask: FloatMap) -> FloatMap:
        """Return a mask (H, W) in [0, 1] with its values stretched."""
        if self.low == self.high:
            return (mask > self.low).astype(np.float32)
        if (self.low, self.high) == (0, 1):
            return mask
        low, width = np.float32(self.low), np.float32(self.high - self.low)
        return ((mask - low) / width).clip(0, 1)


def over_background(
    image: RGBImage, alpha: FloatMap, background: Colour | RGBImage
) -> npt.NDArray[np.uint8]:
    """Return an image (H, W, 3) over a colour, or over a photo that is scaled and cropped to fit.

    alpha: (H, W) in [0, 1].
    """
    height, width = alpha.shape
    if isinstance(background, tuple):
        ground: npt.NDArray[np.float32] = np.array(background, np.float32)
    else:
        fitted = ImageOps.fit(Image.fromarray(background), (width, height))
        ground = np.asarray(fitted, np.float32)
    return np.rint(ground + alpha[..., None] * (image - ground)).astype(np.uint8)


def subject_box(alpha: FloatMap) -> tuple[slice, slice]:
    """Return the rows and columns around what is not nearly clear; everything where nothing is."""
    there = alpha > FAINT
    if not there.any():
        return slice(0, alpha.shape[0]), slice(0, alpha.shape[1])
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def paint(mask: FloatMap, points: npt.NDArray[np.floating], radius: float, add: bool) -> FloatMap:
    """Return a mask (H, W) in [0, 1] after a stroke of a soft brush.

    points: (n, 2) of x and y in pixels, n > 0. radius: in pixels, where the brush ends; it is solid
    up to half of that. add: to the subject, else taken away from it. Where the brush is weaker than
    what is there, that stays: soft borders under the brush's own border are kept.
    """
    height, width = mask.shape
    reach = math.ceil(radius) + 1
    left, top = np.maximum(np.floor(points.min(0)).astype(int) - reach, 0)
    right, bottom = np.minimum(np.ceil(points.max(0)).astype(int) + reach + 1, (width, height))
    if left >= right or top >= bottom:
        return mask
    line = Image.new("1", (int(right - left), int(bottom - top)), 1)
    path = [(float(x - left), float(y - top)) for x, y in points]
    ImageDraw.Draw(line).line([*path, path[-1]], fill=0)
    distance = ndimage.distance_transform_edt(np.asarray(line))
    brush = (2 - 2 * distance / radius).clip(0, 1).astype(np.float32)
    result = mask.copy()
    part = result[top:bottom, left:right]
    part[:] = np.maximum(part, brush) if add else np.minimum(part, 1 - brush)
    return result


@dataclass(frozen=True, eq=False)
class Finish:
    """How a cut-out is finished. background: None for a transparent one. trim: to the subject."""

    levels: Levels = Levels()
    background: Colour | RGBImage | None = None
    trim: bool = False
    file_format: ImageFormat = "png"

    def cut(self, image: RGBImage, mask: FloatMap) -> npt.NDArray[np.uint8]:
        """Return the subject of an image, (h, w, 4), or (h, w, 3) where there is a background.

        mask: (H, W) in [0, 1], not stretched yet. JPEG has no transparency: without a background
        it gets white.
        """
        alpha, background = self.levels.apply(mask), self.background
        if background is None and self.file_format == "jpeg":
            background = WHITE
        joined = (
            cut_out(image, alpha)
            if background is None
            else over_background(image, alpha, background)
        )
        return joined[subject_box(alpha)] if self.trim else joined

    def write(self, image: RGBImage, mask: FloatMap, folder: Path, name: str) -> Path:
        """Write the cut-out as `<name>` with the format's ending; see `cut`. Raises OSError."""
        path = folder / f"{name}{SUFFIX[self.file_format]}"
        pixels = self.cut(image, mask)
        if self.file_format == "png":
            write_png(pixels, path)
        else:
            Image.fromarray(pixels).save(path, self.file_format, quality=QUALITY)
        return path


def mask_picture(mask: FloatMap, levels: Levels) -> npt.NDArray[np.uint8]:
    """Return a mask (H, W) as grey, its values stretched."""
    return to_grey(levels.apply(mask))
