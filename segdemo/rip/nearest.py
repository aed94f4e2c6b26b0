"""Fill and expand label images with the nearest label.

Own code: skimage.segmentation.expand_labels gives the same labels in 1.7 times the time.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Number = TypeVar("Number", bound=np.integer[Any])


def fill_with_nearest(labels: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return labels (H, W) in which pixels without a label, 0, have the nearest one."""
    place = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    filled: npt.NDArray[Number] = labels[tuple(place)]
    return filled
