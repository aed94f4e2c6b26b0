"""Whether objects of an image touch: problem A of DiffEGG (merged neighbours) needs that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api
from scipy import ndimage

from evaluation.metrics.instances import Instances

REACH = 1  # pixels of dilation: bridges gaps of two, as borders of annotations leave
_SQUARE = np.ones((3, 3), bool)


def touching(truth: Instances, reach: int = REACH) -> bool:
    """Return whether two objects are neighbours once each is dilated by `reach` pixels.

    Corners count, and so do ious; crowds do not.
    """
    if truth.rle is None:
        return False
    taken = None
    for rle in (rle for rle, crowd in zip(truth.rle, truth.crowd, strict=True) if not crowd):
        height, width = rle["size"]
        if taken is None:
            taken = np.zeros((height, width), bool)
        left, top, across, down = mask_api.toBbox(dict(rle)).astype(int)
        wide = reach + 1
        rows = slice(max(top - wide, 0), top + down + wide)
        columns = slice(max(left - wide, 0), left + across + wide)
        mask = mask_api.decode(dict(rle))[rows, columns].astype(bool)
        if (_dilate(mask, wide) & taken[rows, columns]).any():
            return True
        taken[rows, columns] |= _dilate(mask, reach)
    return False


def _dilate(mask: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    if not reach or not mask.any():
        return mask
    dilated: npt.NDArray[np.bool_] = ndimage.binary_dilation(mask, _SQUARE, iterations=reach)
    return dilated
