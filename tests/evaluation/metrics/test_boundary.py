"""Boundary figures behave as the protocol says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial.distance import cdist

from evaluation.metrics.boundary import (
    boundary_counts,
    boundary_metrics,
    match,
    suppress_non_maxima,
)

THRESHOLDS = (0.25, 0.5, 0.75)


def _line(column: int, size: int = 60) -> np.ndarray:
    plane = np.zeros((size, size), bool)
    plane[:, column] = True
    return plane


def test_the_truth_itself_is_perfect() -> None:
    truth = _line(30)
    figures = boundary_metrics(
        [boundary_counts(truth.astype(np.float32), truth[None], THRESHOLDS)], THRESHOLDS
    )
    assert (figures.ods, figures.ois) == (1, 1)


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 0.0)])
def test_a_line_beyond_the_distance_does_not_match(shift: int, expected: float) -> None:
    # 0.0075 of the diagonal of 60 x 60 is 0.64 pixels
    edge = _line(30 + shift).astype(np.float32)
    counts = boundary_counts(edge, _line(30)[None], THRESHOLDS)
    assert boundary_metrics([counts], THRESHOLDS).ods == expected


def test_precision_counts_any_annotator_and_recall_all() -> None:
    first, second = _line(10), _line(40)
    counts = boundary_counts(first.astype(np.float32), np.stack([first, second]), (0.5,))
    assert counts.tolist() == [[60, 120, 60, 60]]


def test_matching_is_one_to_one_and_largest_then_nearest() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        predicted, truth = rng.integers(0, 5, (4, 2)), rng.integers(0, 5, (3, 2))
        close = [[bool(np.hypot(*(p - t)) <= 1.5) for t in truth] for p in predicted]
        largest = max(
            sum(i is not None and close[i][j] for j, i in enumerate(choice))
            for choice in itertools.product([None, 0, 1, 2, 3], repeat=3)
            if len({i for i in choice if i is not None}) == sum(i is not None for i in choice)
        )
        matched = match(predicted, truth, 1.5)
        assert len(matched) == len(set(matched.tolist())) == largest


def _matched_at_a_price(predicted: np.ndarray, truth: np.ndarray, radius: float) -> int:
    """Pair all points at once, each with an own place to stay alone for a price of 100."""
    n, m = len(predicted), len(truth)
    distance = cdist(predicted, truth)
    i, j = np.nonzero(distance <= radius)
    points, places = np.arange(n), np.arange(m)
    rows = [i, points, n + places, n + j]
    columns = [j, m + points, places, m + i]
    prices = [distance[i, j] + 1e-9, np.full(n, 100.0), np.full(m, 100.0), np.full(len(i), 1e-9)]
    graph = coo_array((np.hstack(prices), (np.hstack(rows), np.hstack(columns)))).tocsr()
    row, column = min_weight_full_bipartite_matching(graph)
    return int(((row < n) & (column < m)).sum())


def test_as_many_match_as_by_the_benchmarks_prices_for_staying_alone() -> None:
    rng = np.random.default_rng(3)
    for _ in range(8):
        truth = np.argwhere(rng.random((24, 30)) < 0.15)
        predicted = np.argwhere(rng.random((24, 30)) < 0.12)
        found = match(predicted, truth, 1.5)
        assert len(found) == _matched_at_a_price(predicted, truth, 1.5)
        assert 0 < len(found) < len(predicted)


def test_figures_by_hand() -> None:
    counts = np.array([[161, 200, 80, 200], [101, 200, 50, 100], [41, 200, 41, 41]])
    figures = boundary_metrics([counts, counts], THRESHOLDS)
    steps = np.linspace(0, 1, 100)
    recall = np.concatenate([0.805 - 0.3 * steps, 0.505 - 0.3 * steps])
    precision = np.concatenate([0.4 + 0.1 * steps, 0.5 + 0.5 * steps])
    assert figures.ods == pytest.approx((2 * recall * precision / (recall + precision)).max())
    assert figures.ois == pytest.approx(2 * 0.805 * 0.4 / 1.205)
    grid = np.arange(21, 81) / 100
    area = np.interp(grid, [0.205, 0.505, 0.805], [1, 0.5, 0.4]).sum() * 0.01
    assert figures.ap == pytest.approx(area)


def test_one_recall_for_all_thresholds_has_no_area() -> None:
    counts = np.array([[5, 10, 5, 10]] * 3)
    assert boundary_metrics([counts], THRESHOLDS).ap == 0


def test_nothing_predicted_or_nothing_true_is_no_error() -> None:
    empty = np.zeros((20, 20), np.float32)
    assert boundary_counts(empty, _line(5, 20)[None], (0.5,)).tolist() == [[0, 20, 0, 0]]
    counts = boundary_counts(_line(5, 20).astype(np.float32), empty[None].astype(bool), (0.5,))
    assert counts.tolist() == [[0, 0, 0, 20]]


def test_only_ridges_survive() -> None:
    columns = np.arange(40)
    ridge = np.tile(np.exp(-((columns - 20.0) ** 2) / 8), (40, 1)).astype(np.float32)
    kept = suppress_non_maxima(ridge)
    assert kept[5:-5, 20].min() == 1
    assert kept[5:-5, [16, 17, 18, 22, 23, 24]].max() == 0
