"""TokenCut: the mask of an image's one most salient object, by a normalized cut of its patches.

From "Self-Supervised Transformers for Unsupervised Object Discovery using Normalized Cut"
(Wang et al., CVPR 2022, arXiv 2202.11539), section 3. numpy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.settings import check_settings, setting
from segdemo.uis.normalized_cut import affinities, second_eigenvector
from segdemo.uis.patch_masks import CRF_HELP, BoolMask


@dataclass(frozen=True)
class TokenCutSettings:
    """How patches are cut in two; the defaults are the paper's.

    The paper refines outlines only for saliency detection, with the bilateral solver, so that the
    CRF is off here.
    """

    tau: float = setting(
        0.2, "Cosine similarity above which two patches are alike.", minimum=-1, maximum=1
    )
    crf: bool = setting(False, CRF_HELP)

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


def salient_object(keys: npt.NDArray[np.float32], settings: TokenCutSettings) -> list[BoolMask]:
    """Find the one object among patches (h, w, d): a list of one (h, w), or of none.

    The mean of the second eigenvector cuts the patches in two. Foreground is the side
    of the largest absolute value, the object its 4-connected part that holds that patch. Where all
    patches are alike, any cut is as good as another, and there is no object.
    """
    height, width, depth = keys.shape
    weights = affinities(keys.reshape(-1, depth), settings.tau)
    if weights.min() == weights.max():
        return []
    vector = second_eigenvector(weights).reshape(height, width)
    above = vector > vector.mean()
    peak = np.unravel_index(np.abs(vector).argmax(), vector.shape)
    regions, _ = ndimage.label(above == above[peak])
    return [regions == regions[peak]]
