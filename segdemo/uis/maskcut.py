"""MaskCut: masks of up to a few objects by repeated normalized cuts over an image's patches.

From "Cut and Learn for Unsupervised Object Detection and Instance Segmentation" (CutLER,
arXiv 2301.11320), section 3.1. numpy and SciPy only.

Left out is the paper's last step, a dense CRF that aligns the masks' outlines with the image's
colors: outlines here are those of the patches, smoothed, 8 or 16 pixels of the resized image
coarse. RIP brings them to edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from scipy.sparse.linalg import LinearOperator, eigsh

from segdemo.datatypes import InstanceMasks
from segdemo.settings import check_settings, setting

FloatArray = npt.NDArray[np.float64]
BoolMask = npt.NDArray[np.bool_]
WEAK = 1e-5  # the affinity of unlike patches: above zero, so that the graph stays connected
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

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


PAPER_CUTS = MaskCutSettings()


def mask_cut(
    keys: npt.NDArray[np.float32],
    size: tuple[int, int],
    settings: MaskCutSettings = PAPER_CUTS,
) -> InstanceMasks:
    """Cut an image of (height, width) into object masks by its patches' features (h, w, d).

    The masks do not overlap on the patches; they are enlarged bilinearly and may touch. There are
    0 to `settings.rounds` of them, scores are 1: MaskCut has none.
    """
    parts = cut_patches(keys, settings)
    enlarged = [
        np.asarray(
            Image.fromarray(part.astype(np.float32)).resize(
                (size[1], size[0]), Image.Resampling.BILINEAR
            )
        )
        > 0.5
        for part in parts
    ]
    return InstanceMasks.unscored(np.array(enlarged, bool).reshape(-1, *size))


def cut_patches(keys: npt.NDArray[np.float32], settings: MaskCutSettings) -> list[BoolMask]:
    """Find objects among patches (h, w, d), the most prominent first; each (h, w).

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


def affinities(features: npt.NDArray[np.float32], tau: float) -> FloatArray:
    """Return W (n, n) of patches' features (n, d): 1 where their cosine exceeds tau, else 1e-5.

    A feature of zeros is like nothing, itself included.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = features / np.maximum(lengths, 1e-12)
    return np.where(units @ units.T > tau, 1.0, WEAK)


def second_eigenvector(weights: FloatArray) -> FloatArray:
    """Return x of the second smallest lambda in (D - W) x = lambda D x, D = the row sums of W.

    weights: (n, n), symmetric, all above zero, n >= 2. Up to its length and sign x is D^-1/2 times
    the second largest eigenvector of M = D^-1/2 W D^-1/2. The largest, q = D^1/2 1, is known: the
    first of M + 1 - 2 q q^T, positive semidefinite with q at 0, is the wanted one, which the
    Lanczos method finds in some dozens of products without forming M.
    """
    roots = np.sqrt(weights.sum(1))
    known = roots / np.linalg.norm(roots)

    def apply(vector: FloatArray) -> FloatArray:
        vector = vector.ravel()
        product: FloatArray = (weights @ (vector / roots)) / roots
        return product + vector - 2 * known * (known @ vector)

    # a fixed start: the same image, the same masks
    start = np.random.default_rng(0).standard_normal(len(weights))
    operator = LinearOperator(weights.shape, matvec=apply, dtype=np.float64)
    _, vectors = eigsh(operator, k=1, which="LA", v0=start)
    vector: FloatArray = vectors[:, 0] / roots
    return vector


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
