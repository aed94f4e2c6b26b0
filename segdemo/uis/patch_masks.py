"""Masks of a transformer's patches, brought to the image's size. No PyTorch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import InstanceMasks, RGBImage
from segdemo.uis.dense_crf import dense_crf

BoolMask = npt.NDArray[np.bool_]
SIDE = 480  # pixels that images are resized to, as in MaskCut and ProMerge; 60 patches of 8
LEAST_AGREEMENT = 0.5  # IoU of a mask and what the CRF makes of it, below which it is dropped
CRF_HELP = "Bring outlines to the image's colors by a dense CRF."


def enlarge_masks(parts: list[BoolMask], image: RGBImage, crf: bool) -> InstanceMasks:
    """Bring masks of patches, each (h, w), to the size of the image (H, W, 3).

    crf: refine them by a dense CRF at `SIDE` pixels, fill their holes, and drop those that have
    then become others, as CutLER and ProMerge do. Without, outlines are those of the patches,
    smoothed. Scores are 1: the methods have none.
    """
    size = image.shape[:2]
    if not parts:
        return InstanceMasks.unscored(np.zeros((0, *size), bool))
    if crf:
        parts = _refined(np.array(parts), image)
    enlarged = [_resized(part, size) for part in parts]
    return InstanceMasks.unscored(np.array(enlarged, bool).reshape(-1, *size))


def _refined(parts: npt.NDArray[np.bool_], image: RGBImage) -> list[BoolMask]:
    """Refine masks (n, h, w) by the CRF; returns those that stay themselves, (SIDE, SIDE) each."""
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    row, column = (np.arange(SIDE) * length // SIDE for length in parts.shape[1:])
    before = parts[:, row[:, None], column]  # (n, SIDE, SIDE)
    after = [ndimage.binary_fill_holes(mask) for mask in dense_crf(np.array(small), before)]
    return [
        new
        for old, new in zip(before, after, strict=True)
        if (old & new).sum() >= LEAST_AGREEMENT * (old | new).sum()
    ]


def _resized(mask: BoolMask, size: tuple[int, int]) -> BoolMask:
    scaled = Image.fromarray(mask.astype(np.float32)).resize(
        (size[1], size[0]), Image.Resampling.BILINEAR
    )
    return np.asarray(scaled) > 0.5
