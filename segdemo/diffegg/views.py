"""Visualisations: attention with coarse keys, its colours, and the instance check."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from segdemo.datatypes import FloatMap
from segdemo.diffegg.attention import AttentionMap

MAX_KEYS = 16  # a side
COLOUR_RANGE = 2.5  # standard deviations from the middle to the end of a colour channel


def coarse_attention(attention: AttentionMap) -> FloatMap:
    """Return each cell's attention summed over blocks of keys, (side, side, k, k), k <= 16."""
    side = attention.side
    factor = next(f for f in range(1, side + 1) if side % f == 0 and side // f <= MAX_KEYS)
    k = side // factor
    bands = [rows.view(-1, k, factor, k, factor).sum((2, 4)) for *_, rows in attention.row_blocks()]
    return torch.cat(bands).view(side, side, k, k).cpu().numpy()


def principal_components(coarse: FloatMap, reference: FloatMap | None = None) -> FloatMap:
    """Return the three main components of the cells' attention, (side, side, 3), unit variance.

    They are turned (orthogonal Procrustes) to fit `reference`, the components of the step before,
    as closely as they can: components have no sign or order of their own, and colours of steps
    could not be compared.
    """
    side = coarse.shape[0]
    values = coarse.reshape(side * side, -1).astype(np.float64)
    values -= values.mean(0)
    left, strength, _ = np.linalg.svd(values, full_matrices=False)
    components = np.zeros((side * side, 3))
    count = min(3, int((strength > 1e-9 * max(strength[0], 1e-12)).sum()))
    components[:, :count] = left[:, :count] * side  # unit variance
    if reference is not None:
        u, _, v = np.linalg.svd(components.T @ reference.reshape(-1, 3))
        components = components @ (u @ v)
    return components.reshape(side, side, 3).astype(np.float32)


def colours(components: FloatMap) -> npt.NDArray[np.uint8]:
    """Turn components into an image (side, side, 3); a component's mean is middle grey."""
    scaled = 0.5 + components / (2 * COLOUR_RANGE)
    return np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)


def downsample_labels(labels: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
    """Take the id at the centre of each of side x side cells of labels (H, W)."""
    rows, columns = (
        ((np.arange(side) + 0.5) * length / side).astype(int) for length in labels.shape
    )
    return labels[np.ix_(rows, columns)]


def attention_ratio(attention: AttentionMap, labels: npt.NDArray[np.int64]) -> float | None:
    """Return how much more a cell looks at its own instance than at others equally far away.

    labels: (side, side), 0 = background. For every labelled cell and every exact distance at which
    there are labelled cells of its own and of another instance, the mean attention to each
    is taken, weighted by the smaller of the two counts; the ratio of both sums. Above 1, cells
    prefer their own instance for what it is and not for being near. None where no two instances
    share a distance.
    """
    side = attention.side
    flat = torch.from_numpy(labels.reshape(-1)).to(attention.sums[side].device)
    cells = torch.arange(side * side, device=flat.device)
    line, column = cells // side, cells % side
    squares = (line**2 + column**2).unique()  # every squared distance there is
    own = other = 0.0
    for first, last, _, rows in attention.row_blocks():
        here = torch.arange(first * side, last * side, device=flat.device)
        labelled = flat[here] > 0
        here, rows = here[labelled], rows[labelled]  # (m, side**2)
        if not len(here):
            continue
        apart = (line[here, None] - line) ** 2 + (column[here, None] - column) ** 2
        distance = torch.searchsorted(squares, apart)  # (m, side**2), 0 = the cell itself
        same = (flat[here, None] == flat) & (distance > 0)
        different = (flat[here, None] != flat) & (flat > 0)
        sums, counts = [], []
        for chosen in (same, different):
            empty = torch.zeros(len(here), len(squares), device=flat.device)
            sums.append(empty.scatter_add(1, distance, rows * chosen))
            counts.append(empty.scatter_add(1, distance, chosen.float()))
        weight = torch.minimum(*counts)
        for which, total in enumerate(sums):
            share = float((weight * total / counts[which].clamp_min(1)).double().sum())
            own, other = (own + share, other) if which == 0 else (own, other + share)
    return own / other if other > 0 else None
