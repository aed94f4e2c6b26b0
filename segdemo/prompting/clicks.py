"""Simulated clicks, as the field's protocol for interactive segmentation places them.

Each click goes to the middle of the largest region that is wrong: the point that is farthest from
the region's border (Xu et al., CVPR 2016; Sofiiuk et al., "RITM", ICIP 2022).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


def next_click(
    found: Mask, truth: Mask, rng: np.random.Generator | None = None
) -> tuple[float, float, bool] | None:
    """Return x, y and whether the click is positive; None where nothing is wrong.

    found, truth: (H, W). rng: draws the point among those at least half as far from the region's
    border as the farthest, as people click; None takes the farthest.
    """
    missed, excess = _largest_region(truth & ~found), _largest_region(found & ~truth)
    positive = bool(missed.sum() >= excess.sum())
    region = missed if positive else excess
    if not region.any():
        return None
    distance = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    if rng is None:
        row, column = np.unravel_index(distance.argmax(), distance.shape)
    else:
        rows, columns = np.nonzero(distance >= distance.max() / 2)
        chosen = rng.integers(len(rows))
        row, column = rows[chosen], columns[chosen]
    return float(column) + 0.5, float(row) + 0.5, positive


def _largest_region(wrong: Mask) -> Mask:
    labels, count = ndimage.label(wrong)
    if count == 0:
        return wrong
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1
