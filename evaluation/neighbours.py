"""Whether objects of a picture touch: problem A of DiffEGG (merged neighbours) needs that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api
from scipy import ndimage

from evaluation.objects import Objects

REACH = 1  # pixels that each object grows: bridges gaps of two, as borders of annotations leave
_SQUARE = np.ones((3, 3), bool)


def touching(truth: Objects, reach: int = REACH) -> bool:
    """Return whether two objects are neighbours once each grew by `reach` pixels.

    Corners count, and so do overlaps; crowds do not.
    """
    if truth.runs is None:
        return False
    taken = None
    for runs in (runs for runs, crowd in zip(truth.runs, truth.crowd, strict=True) if not crowd):
        height, width = runs["size"]
        if taken is None:
            taken = np.zeros((height, width), bool)
        left, top, across, down = mask_api.toBbox(dict(runs)).astype(int)
        wide = reach + 1
        rows = slice(max(top - wide, 0), top + down + wide)
        columns = slice(max(left - wide, 0), left + across + wide)
        mask = mask_api.decode(dict(runs))[rows, columns].astype(bool)
        if (_grown(mask, wide) & taken[rows, columns]).any():
            return True
        taken[rows, columns] |= _grown(mask, reach)
    return False


def _grown(mask: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    if not reach or not mask.any():
        return mask
    grown: npt.NDArray[np.bool_] = ndimage.binary_dilation(mask, _SQUARE, iterations=reach)
    return grown
