"""Basins and what joins them, beside loops that follow the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdemo.rip.hierarchy import evidence, find_basins, find_borders, merge_hierarchical


def test_basins_are_parted_by_a_ridge_and_fill_the_mask() -> None:
    edge = np.zeros((40, 60), np.float32)
    edge[:, 30] = 1
    inside = np.zeros(edge.shape, bool)
    inside[5:35, 5:55] = True
    found = find_basins(edge, inside)
    np.testing.assert_array_equal(found > 0, inside)
    assert not set(np.unique(found[:, :29])) & set(np.unique(found[:, 32:])) - {0}


def test_each_basin_is_connected() -> None:
    edge = np.random.default_rng(0).random((50, 70)).astype(np.float32)
    found = find_basins(edge, np.ones(edge.shape, bool))
    for number in np.unique(found):
        assert ndimage.label(found == number)[1] == 1


def test_borders_are_measured_as_a_loop_does() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, (12, 15)).astype(np.int32)
    edge = rng.random(labels.shape).astype(np.float32)
    expected: dict[tuple[int, int], list[float]] = {}
    for y in range(12):
        for x in range(15):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < 12 and u < 15:
                    pair = tuple(sorted((int(labels[y, x]), int(labels[v, u]))))
                    if pair[0] and pair[0] != pair[1]:
                        expected.setdefault(pair, []).append(max(edge[y, x], edge[v, u]))
    found = find_borders(labels, edge)
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert pairs == sorted(expected)
    for pair, total, length in zip(pairs, found.sums, found.lengths, strict=True):
        assert length == len(expected[pair])
        assert total == pytest.approx(sum(expected[pair]), rel=1e-5)


def naive(
    areas: np.ndarray, between: dict, most: float, picture: float
) -> dict[frozenset[int], float]:
    """Search all borders for the one of least evidence, join, and begin anew.

    Returns the groups, and the largest evidence that each was joined over.
    """
    groups = [frozenset([n]) for n in range(1, len(areas))]
    within = dict.fromkeys(groups, 0.0)
    while True:
        best = None
        for one in groups:
            for other in groups:
                total = length = 0.0
                for a in one:
                    for b in other:
                        s, n = between.get((min(a, b), max(a, b)), (0, 0))
                        total, length = total + s, length + n
                if one is not other and length:
                    area = min(sum(areas[n] for n in one), sum(areas[n] for n in other))
                    found = evidence(total / length, length, area, picture)
                    if best is None or found < best[0]:
                        best = (found, one, other)
        if best is None or best[0] >= most:
            return {group: within[group] for group in groups}
        groups = [g for g in groups if g is not best[1] and g is not best[2]]
        groups.append(best[1] | best[2])
        within[groups[-1]] = max(within[best[1]], within[best[2]], best[0])


@pytest.mark.parametrize(("seed", "most"), [(0, 0.6), (1, 0.7), (2, 0.8)])
def test_regions_join_as_a_naive_search_joins_them(seed: int, most: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(np.arange(1, 31).reshape(5, 6), np.ones((4, 5))).astype(np.int32)
    edge = rng.random(labels.shape).astype(np.float32)
    between = find_borders(labels, edge)
    areas = np.bincount(labels.ravel())
    roots, within = merge_hierarchical(areas, between, most, labels.size)
    keys = zip(between.first.tolist(), between.second.tolist(), strict=True)
    known = dict(zip(keys, zip(between.sums, between.lengths, strict=True), strict=True))
    expected = naive(areas, known, most, labels.size)
    assert 1 < len(expected) < 30
    found = {
        frozenset(np.flatnonzero(roots == root).tolist()): within[root]
        for root in np.unique(roots[1:])
    }
    assert found == pytest.approx(expected)


def test_a_neck_needs_less_edge_than_a_long_border() -> None:
    assert evidence(0.5, 10, 1000, 1e5) > evidence(0.5, 60, 1000, 1e5)
    assert evidence(0.5, 20, 2000, 1e5) > evidence(0.5, 20, 200, 1e5)
