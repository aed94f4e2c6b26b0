"""Boundaries of label maps. Apart from `images`, for scikit-image takes long to import."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.segmentation import find_boundaries

from segdemo.datatypes import Labels


def label_boundaries(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return the pixels (H, W) that have a 4-neighbour of another label: lines two pixels wide."""
    boundaries: npt.NDArray[np.bool_] = find_boundaries(labels, connectivity=1, mode="thick")
    return boundaries
