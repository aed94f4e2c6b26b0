"""Masks corrupted in the two ways that DiffEGG's repair is for.

Problem A: touching instances share one mask. Problem B: an instance's mask is in fragments.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segdemo.boundaries import label_boundaries

Corruption = Literal["merge", "fragment", "both"]
"""merge: touching neighbours become one mask. fragment: each mask falls into two to four pieces.
both: merged first, then in pieces that know nothing of the objects."""

PIECES = (2, 4)
SMALLEST_PIECE = 30  # pixels
_SQUARE = np.ones((3, 3), bool)

BoolMasks = npt.NDArray[np.bool_]  # (N, H, W)


def corrupt(masks: BoolMasks, how: Corruption, rng: np.random.Generator) -> BoolMasks:
    """Return corrupted copies of masks (N, H, W), which may overlap."""
    if how in ("merge", "both"):
        masks = merge_touching(masks)
    return masks if how == "merge" else fragment(masks, rng)


def merge_touching(masks: BoolMasks) -> BoolMasks:
    """Join all masks that touch, corners included, into one a cluster."""
    dilated = [ndimage.binary_dilation(mask, _SQUARE) for mask in masks]
    pairs = [(i, j) for i in range(len(masks)) for j in range(i) if (dilated[i] & masks[j]).any()]
    ends = np.array(pairs, int).reshape(-1, 2).T
    links = coo_array((np.ones(len(pairs)), tuple(ends)), shape=(len(masks), len(masks)))
    count, cluster = connected_components(links, directed=False)
    together = np.zeros((count, *masks.shape[1:]), bool)
    for mask, owner in zip(masks, cluster, strict=True):
        together[owner] |= mask
    return together


def fragment(masks: BoolMasks, rng: np.random.Generator) -> BoolMasks:
    """Cut each mask along the lines between random points of it; a pixel is lost along each line.

    Pieces below 30 pixels are lost; a mask that would vanish stays whole.
    """
    pieces = [piece for mask in masks for piece in _pieces(mask, rng)]
    return np.array(pieces).reshape(-1, *masks.shape[1:]).astype(bool)


def _pieces(mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> list[npt.NDArray[np.bool_]]:
    inside = np.argwhere(mask)  # (n, 2)
    count = min(int(rng.integers(PIECES[0], PIECES[1] + 1)), len(inside))
    if not count:
        return []
    centres = inside[rng.choice(len(inside), count, replace=False)]
    apart = ((inside[:, None] - centres) ** 2).sum(2)  # (n, count)
    owner = np.full(mask.shape, -1)
    owner[tuple(inside.T)] = apart.argmin(1)
    kept = []
    for number in range(count):
        own = owner == number
        own &= ~ndimage.binary_dilation(mask & ~own)
        if own.sum() > SMALLEST_PIECE:
            kept.append(own)
    return kept or [mask]


def true_edges(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the edges between labels (H, W), two pixels wide, 0 or 1."""
    return label_boundaries(labels).astype(np.float32)
