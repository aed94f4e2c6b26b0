"""Boundary quality by the protocol of BSDS500: matching, counts, ODS, OIS and AP.

Each image is counted for itself (`boundary_counts`); figures come from the sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.morphology import thin

from segdemo.datatypes import FloatMap

LARGEST_DISTANCE = 0.0075  # of the diagonal
UNMATCHED = 1000.0  # price of a pair too far apart, against distances of a few pixels

BoolArray = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BoundaryMetrics:
    """ods: best F of summed counts. ois: F of every image's best threshold. ap: area under PR."""

    ods: float
    ois: float
    ap: float


def boundary_counts(edge: FloatMap, annotators: BoolArray, thresholds: Sequence[float]) -> Counts:
    """Count matches of one image, (T, 4): truth matched, truth, predicted matched, predicted.

    edge: (H, W) in [0, 1]. annotators: (A, H, W). At each threshold the map is thinned and matched
    to every annotator one to one within 0.0075 of the diagonal; the truth is summed over
    annotators, and a predicted pixel counts as matched where any of them agrees.
    """
    radius = LARGEST_DISTANCE * math.hypot(*edge.shape)
    truths = [np.argwhere(truth) for truth in annotators]
    counts = []
    for threshold in thresholds:
        predicted = np.argwhere(thinned(edge, threshold))
        agreed = np.zeros(len(predicted), bool)
        recalled = 0
        for truth in truths:
            matched = match(predicted, truth, radius)
            recalled += len(matched)
            agreed[matched] = True
        counts.append((recalled, sum(map(len, truths)), agreed.sum(), len(predicted)))
    return np.array(counts, np.int64)


def thinned(edge: FloatMap, threshold: float) -> BoolArray:
    """Cut a map and thin what is left to lines one pixel wide."""
    lines: BoolArray = thin(edge >= threshold)
    return lines


def match(
    predicted: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], radius: float
) -> npt.NDArray[np.int64]:
    """Return the indices of predicted points (n, 2) that pair with a true point of their own.

    Pairs are within `radius`; as many as possible, then as near as possible. Points that are within
    reach of one another form islands, and each island is solved for itself.
    """
    if not len(predicted) or not len(truth):
        return np.zeros(0, np.int64)
    near = cKDTree(predicted).sparse_distance_matrix(
        cKDTree(truth), radius, output_type="coo_matrix"
    )
    n, m = near.shape
    links = coo_array((np.ones(near.nnz), (near.row, n + near.col)), shape=(n + m, n + m))
    _, island = connected_components(links, directed=False)
    order = np.argsort(island[near.row], kind="stable")
    starts = np.flatnonzero(np.diff(island[near.row][order], prepend=-1))
    matched = []
    for pairs in np.split(order, starts[1:]):
        if not len(pairs):
            continue
        rows, row_of = np.unique(near.row[pairs], return_inverse=True)
        columns, column_of = np.unique(near.col[pairs], return_inverse=True)
        price = np.full((len(rows), len(columns)), UNMATCHED)
        price[row_of, column_of] = near.data[pairs]
        left, right = linear_sum_assignment(price)
        matched.append(rows[left[price[left, right] < UNMATCHED]])
    return np.concatenate(matched or [np.zeros(0, np.int64)]).astype(np.int64)


def boundary_metrics(counts: Sequence[Counts], thresholds: Sequence[float]) -> BoundaryMetrics:
    """Summarise the counts of several images, each (T, 4), as BSDS500's own code does.

    Where all thresholds have the same recall there is no curve, and AP is 0.
    """
    summed = np.sum(counts, axis=0)
    ods = _best_f(summed, thresholds)
    best = []
    for one in counts:
        recall, precision = recall_precision(one)
        best.append(one[np.argmax(f_measure(recall, precision))])
    ois = float(f_measure(*recall_precision(np.sum(best, axis=0)[None]))[0])
    recall, precision = recall_precision(summed)
    recall, first = np.unique(recall, return_index=True)
    grid = np.arange(0, 1.005, 0.01)
    inside = (grid >= recall[0]) & (grid <= recall[-1]) & (len(recall) > 1)
    area = np.interp(grid[inside], recall, precision[first]).sum() * 0.01
    return BoundaryMetrics(ods, ois, float(area))


def recall_precision(counts: Counts) -> tuple[Values, Values]:
    """Return recall and precision (T,) of counts (T, 4); 0 where nothing is true or predicted."""
    found, truth, right, predicted = counts.T
    return found / np.maximum(truth, 1), right / np.maximum(predicted, 1)


def f_measure(recall: Values, precision: Values) -> Values:
    """Return the harmonic mean, 0 where both are."""
    return 2 * recall * precision / np.maximum(recall + precision, 1e-12)


def _best_f(counts: Counts, thresholds: Sequence[float]) -> float:
    """Return the best F, recall and precision interpolated at 100 places of each interval."""
    recall, precision = recall_precision(counts)
    starts, ends = thresholds[:-1] or thresholds, thresholds[1:] or thresholds
    between = np.linspace(starts, ends, 100).ravel()
    return float(
        f_measure(
            np.interp(between, thresholds, recall), np.interp(between, thresholds, precision)
        ).max()
    )


def suppress_non_maxima(edge: FloatMap) -> FloatMap:
    """Keep the ridges of an edge map: what is below a neighbour across the edge becomes zero."""
    smooth = ndimage.gaussian_filter(edge, 1.0)
    down, right = np.gradient(smooth)
    (dd, dr), (_, rr) = np.gradient(down), np.gradient(right)
    angle = 0.5 * np.arctan2(2 * dr, dd - rr)  # axis of strongest bend is one of two
    steep = (
        dd * np.cos(angle) ** 2 + 2 * dr * np.cos(angle) * np.sin(angle) + (rr * np.sin(angle) ** 2)
    )
    flat = (
        dd * np.sin(angle) ** 2 - 2 * dr * np.cos(angle) * np.sin(angle) + (rr * np.cos(angle) ** 2)
    )
    angle = np.where(np.abs(steep) >= np.abs(flat), angle, angle + np.pi / 2)
    rows, columns = np.indices(edge.shape)
    step = np.stack([np.cos(angle), np.sin(angle)])
    ahead, behind = (
        ndimage.map_coordinates(smooth, [rows + s * step[0], columns + s * step[1]], order=1)
        for s in (1, -1)
    )
    return np.where((smooth >= ahead) & (smooth >= behind), edge, 0).astype(np.float32)
