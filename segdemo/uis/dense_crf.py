"""A dense CRF that brings a mask's outline to the image's colors.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials"
(NIPS 2011), for two labels. numpy and SciPy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import RGBImage
from segdemo.settings import check_settings, setting
from segdemo.uis.permutohedral import FloatArray, PermutohedralLattice

Filter = Callable[[FloatArray], FloatArray]
EVIDENCE = 1.0  # log-odds that a mask's pixels start with: the softmax of 1 and 0


@dataclass(frozen=True)
class CRFSettings:
    """Steps and kernels; the defaults are those that CutLER, and after it ProMerge, publish."""

    steps: int = setting(10, "Steps of mean-field inference.", minimum=1, maximum=100)
    smoothness: float = setting(7, "Weight of pixels that are near.", minimum=0)
    smoothness_xy: float = setting(3, "How near.", minimum=0.1, unit="pixels")
    appearance: float = setting(10, "Weight of pixels that are near and of like color.", minimum=0)
    appearance_xy: float = setting(50, "How near.", minimum=1, unit="pixels")
    appearance_rgb: float = setting(5, "How alike, of 255.", minimum=0.1)

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


PAPER_CRF = CRFSettings()


def dense_crf(
    image: RGBImage, masks: npt.NDArray[np.bool_], settings: CRFSettings = PAPER_CRF
) -> npt.NDArray[np.bool_]:
    """Refine masks (n, H, W) of an image (H, W, 3), each by itself.

    Mean-field inference (algorithm 1) with the two kernels of eq. 3 and Potts compatibility. Each
    kernel is normalized to D^-1/2 K D^-1/2, D = its row sums. With two labels all that a pixel
    needs of the others is the mean of their labels -1 and 1, which is tanh of half their log-odds.
    """
    count, height, width = masks.shape
    smooth = _normalized(_gaussian(settings.smoothness_xy, height, width), height * width)
    rows, columns = np.indices((height, width)).reshape(2, -1) / settings.appearance_xy
    colors = image.reshape(-1, 3) / settings.appearance_rgb
    lattice = PermutohedralLattice(np.column_stack([rows, columns, colors]))  # (H*W, 5)
    alike = _normalized(lattice.filter, height * width)

    evidence = EVIDENCE * np.where(masks.reshape(count, -1).T, 1.0, -1.0)  # (H*W, n)
    odds = evidence
    for _ in range(settings.steps):
        labels = np.tanh(odds / 2)
        odds = evidence + settings.smoothness * smooth(labels) + settings.appearance * alike(labels)
    refined: npt.NDArray[np.bool_] = (odds > 0).T.reshape(masks.shape)
    return refined


def _gaussian(deviation: float, height: int, width: int) -> Filter:
    """Return a Gaussian filter of an image's flattened values (H*W, c)."""

    def apply(values: FloatArray) -> FloatArray:
        planes = values.reshape(height, width, -1)
        sigma = (deviation, deviation, 0)
        return ndimage.gaussian_filter(planes, sigma, mode="constant").reshape(values.shape)

    return apply


def _normalized(kernel: Filter, pixels: int) -> Filter:
    """Return D^-1/2 K D^-1/2 of a kernel K, D = its row sums."""
    scale = kernel(np.ones((pixels, 1))) ** -0.5  # (H*W, 1)
    return lambda values: scale * kernel(scale * values)
