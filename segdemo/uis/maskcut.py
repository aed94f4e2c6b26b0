"""MaskCut: masks of up to a few objects by repeated normalized cuts over an image's patches.

From "Cut and Learn for Unsupervised Object Detection and Instance Segmentation" (CutLER,
arXiv 2301.11320), section 3.1. numpy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.settings import check_settings, setting
from segdemo.uis.normalized_cut import FloatArray, affinities, second_eigenvector
from segdemo.uis.patch_masks import CRF_HELP, BoolMask

MOST_CORNERS = 2  # of the image that a foreground may hold
LARGEST_OVERLAP = 0.5  # IoU with an earlier mask, above which a mask is a repetition


@dataclass(frozen=True)
class MaskCutSettings:
    """How patches are cut into objects; the defaults are the paper's."""

    tau: float = setting(
        0.15, "Cosine similarity above which two patches are alike.", minimum=-1, maximum=1
    )
    rounds: int = setting(3, "Cuts, and so objects at most.", minimum=1, maximum=32)
    smallest: float = setting(
        0.01,
        "Objects of at most this share of the image are dropped.",
        minimum=0,
        maximum=1,
    )
    crf: bool = setting(True, CRF_HELP)

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


def cut_patches(keys: npt.NDArray[np.float32], settings: MaskCutSettings) -> list[BoolMask]:
    """Find 0 to `rounds` objects among patches (h, w, d), the most prominent first; each (h, w).

    After each cut the object's patches are masked out: their features become zero, so that they
    are like nothing, and the next cut finds another object. What is too small, or repeats an
    earlier object, is masked out too but not returned.
    """
    height, width, depth = keys.shape
    masked = np.zeros((height, width), bool)
    found: list[BoolMask] = []
    for _ in range(settings.rounds):
        features = np.where(masked[..., None], 0, keys).reshape(-1, depth)
        weights = affinities(features, settings.tau)
        if weights.min() == weights.max():  # all alike: any cut is as good as another
            break
        part = salient_part(second_eigenvector(weights).reshape(height, width), masked)
        if part is None:
            break
        new_part = part & ~masked
        repeated = any(_iou(part, earlier) > LARGEST_OVERLAP for earlier in found)
        if new_part.mean() > settings.smallest and not repeated:
            found.append(new_part)
        masked |= part
    return found


def salient_part(vector: FloatArray, masked: BoolMask) -> BoolMask | None:
    """Choose the object in an eigenvector on the patches (h, w).

    The mean cuts the patches in two. Foreground is the side of the largest absolute value, unless
    it holds three or more of the image's corners: then it is the other side. (An eigenvector's
    sign is arbitrary, so no rule may rest on it.) The object is the 4-connected part of the
    foreground around its most extreme patch, holes filled. `masked` patches are neither sought nor
    counted; returns None where no others are left in the foreground.
    """
    above = vector > vector.mean()
    free = ~masked
    if not free.any():
        return None
    peak = np.unravel_index(np.where(free, np.abs(vector), -1).argmax(), vector.shape)
    foreground = above == above[peak]
    if foreground[[0, 0, -1, -1], [0, -1, 0, -1]].sum() > MOST_CORNERS:
        foreground = ~foreground
    sought = foreground & free
    if not sought.any():
        return None
    outward = vector - vector.mean()
    if not above[foreground].all():
        outward = -outward
    seed = np.unravel_index(np.where(sought, outward, -np.inf).argmax(), vector.shape)
    regions, _ = ndimage.label(sought)
    part: BoolMask = ndimage.binary_fill_holes(regions == regions[seed])
    return part


def _iou(first: BoolMask, second: BoolMask) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))
