"""The walk equals matrices multiplied out, and affinities equal loops over their paths."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.rip.transition import (
    apply_power,
    half_disc,
    path_cells,
    power_coefficients,
    transition_matrix,
)


@pytest.fixture
def edge() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((9, 11)) ** 3).astype(np.float32)


def naive_transition(edge: np.ndarray, radius: float, beta: float) -> np.ndarray:
    width = edge.shape[1]
    affinities = np.eye(edge.size)
    for p in range(edge.size):
        for q in range(edge.size):
            (y, x), (v, u) = divmod(p, width), divmod(q, width)
            dy, dx = v - y, u - x
            if p == q or dy * dy + dx * dx >= radius * radius:
                continue
            strongest = 0.0
            for i in range(min(y, v), max(y, v) + 1):
                for j in range(min(x, u), max(x, u) + 1):
                    if (dy * (j - x) - dx * (i - y)) ** 2 < dy * dy + dx * dx:
                        strongest = max(strongest, float(edge[i, j]))
            affinities[p, q] = (1 - strongest) ** beta
    return affinities / affinities.sum(1, keepdims=True)


def test_offsets_are_half_of_a_disc() -> None:
    assert len(half_disc(5)) == 34
    assert all((-dy, -dx) not in half_disc(5) for dy, dx in half_disc(5))
    assert path_cells(1, 4) == [(y, x) for y in range(2) for x in range(5)]


@pytest.mark.parametrize(("radius", "beta"), [(2.0, 1.0), (5.0, 10.0)])
def test_the_matrix_equals_loops_over_paths(edge: np.ndarray, radius: float, beta: float) -> None:
    transition = transition_matrix(edge, radius, beta).toarray()
    np.testing.assert_allclose(transition, naive_transition(edge, radius, beta), atol=1e-6)
    np.testing.assert_allclose(transition.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 256])
def test_the_walk_equals_the_matrix_power(edge: np.ndarray, steps: int) -> None:
    edge[:, 5] = 1  # two halves, so that masks share columns
    transition = transition_matrix(edge, 3, 10)
    masks = (np.random.default_rng(1).random((edge.size, 4)) > 0.7).astype(np.float32)
    masks[:, 2] = 0
    masks.reshape(9, 11, 4)[:, 5:, 0] = 0
    masks.reshape(9, 11, 4)[:, :6, 1] = 0
    expected = np.linalg.matrix_power(transition.toarray().astype(np.float64), steps) @ masks
    np.testing.assert_allclose(apply_power(transition, masks, steps), expected, atol=1e-4)


@pytest.mark.parametrize("steps", [0, 1, 5, 128, 256, 4096])
def test_coefficients_are_those_of_the_power(steps: int) -> None:
    coefficients = power_coefficients(steps, 1e-6)
    assert coefficients.min() >= 0
    assert coefficients.sum() == pytest.approx(1, abs=2e-6)
    points = np.linspace(-1, 1, 41)
    value = np.polynomial.chebyshev.chebval(points, coefficients)
    np.testing.assert_allclose(value, points**steps, atol=2e-6)
    assert len(coefficients) <= max(2, 5.4 * np.sqrt(steps) + 2)


def test_nothing_crosses_a_closed_edge() -> None:
    edge = np.zeros((20, 20), np.float32)
    edge[:, 10] = 1
    masks = np.zeros((400, 1), np.float32)
    masks.reshape(20, 20)[5:9, 2:6] = 1
    walked = apply_power(transition_matrix(edge, 5, 10), masks, 256).reshape(20, 20)
    assert walked[:, :10].min() > 0
    assert walked[:, 10:].max() == 0
