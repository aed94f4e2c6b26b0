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


def join_islands(parts: npt.NDArray[Number], seeds: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Give each piece of a part that does not hang on the part's own seed to its surroundings.

    parts, seeds: (H, W), 0 = none. Returns (H, W) without zeros: what has no part gets the nearest.
    """
    kept = np.zeros_like(parts)
    for number in np.unique(seeds[seeds > 0]):
        pieces, _ = ndimage.label(parts == number)
        own = np.unique(pieces[seeds == number])
        kept[np.isin(pieces, own[own > 0])] = number
    return fill_with_nearest(kept)
