"""Outlines that follow a photo's own: a network's maps are coarser than the photo.

"Guided Image Filtering" (He, Sun and Tang, TPAMI 2013) with the photo's colours as its guide, in
the way of "Fast Guided Filter" (He and Sun, 2015): the filter's coefficients are found on a small
grid and enlarged.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import FloatMap, RGBImage
from segdemo.images import resize_map

STRIP = 256  # rows that are worked out at a time: whole maps of a large photo take much memory
GRID = 512  # cells along the longer side on which coefficients are found
REACH = 1 / 60  # of the longer side: how far from it an outline is looked for
EPSILON = 1e-3  # squared contrast, of colours in [0, 1], below which a photo has no outline


def follow_outlines(
    values: FloatMap, image: RGBImage, reach: float = REACH, grid: int = GRID
) -> FloatMap:
    """Return a map whose edges lie where those of the photo are; both (H, W), in [0, 1].

    Within windows of `reach` times the longer side to each direction, the map is taken as a linear
    function of the colours. image: (H, W, 3).
    """
    size = (image.shape[0], image.shape[1])
    shrink = min(1.0, grid / max(size))
    small = (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink)))
    radius = max(1, round(reach * max(small)))
    slopes, offset = _coefficients(_guide(image, small), resize_map(values, small), radius)
    coefficients = [Image.fromarray(np.ascontiguousarray(slopes[..., c])) for c in range(3)]
    coefficients.append(Image.fromarray(offset))
    followed = np.empty(size, np.float32)
    for top in range(0, size[0], STRIP):
        rows = slice(top, min(top + STRIP, size[0]))
        *slope, strip = (_strip(image, rows, size) for image in coefficients)
        for channel in range(3):
            strip += slope[channel] * image[rows, :, channel]
        followed[rows] = strip.clip(0, 1)
    return followed


def _strip(values: Image.Image, rows: slice, size: tuple[int, int]) -> FloatMap:
    """Return some rows of a map enlarged to (height, width)."""
    height, width = size
    box = (0, rows.start * values.height / height, values.width, rows.stop * values.height / height)
    shape = (width, rows.stop - rows.start)
    return np.array(values.resize(shape, Image.Resampling.BILINEAR, box=box))


def _guide(image: RGBImage, size: tuple[int, int]) -> npt.NDArray[np.floating]:
    reduced = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(reduced, np.float64) / 255


def _coefficients(
    guide: npt.NDArray[np.floating], values: FloatMap, radius: int
) -> tuple[FloatMap, FloatMap]:
    """Return the window means of slopes (h, w, 3), for colours of 0 to 255, and offsets (h, w)."""
    wide = values.astype(np.float64)
    mean_guide, mean_values = _mean(guide, radius), _mean(wide, radius)
    together = _mean(guide * wide[..., None], radius) - mean_guide * mean_values[..., None]
    products = guide[..., :, None] * guide[..., None, :]
    covariance = _mean(products, radius) - mean_guide[..., :, None] * mean_guide[..., None, :]
    covariance += EPSILON * np.eye(3)
    slopes = np.linalg.solve(covariance, together[..., None])[..., 0]  # (h, w, 3)
    offset = mean_values - (slopes * mean_guide).sum(-1)
    return (
        (_mean(slopes, radius) / 255).astype(np.float32),
        _mean(offset, radius).astype(np.float32),
    )


def _mean(values: npt.NDArray[np.floating], radius: int) -> npt.NDArray[np.floating]:
    """Average over windows of 2 * radius + 1 along the first two axes; the border is repeated."""
    means: npt.NDArray[np.floating] = values
    for axis in (0, 1):
        means = ndimage.uniform_filter1d(means, 2 * radius + 1, axis=axis, mode="nearest")
    return means
