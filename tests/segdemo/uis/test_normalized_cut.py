"""Normalized cuts over patches, beside the plain formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh

from segdemo.uis.normalized_cut import WEAK, affinities, second_eigenvector
from tests.segdemo.uis.scenes import scene


def dense_second_eigenvector(weights: np.ndarray) -> np.ndarray:
    """Solve (D - W) x = lambda D x for all x."""
    degrees = np.diag(weights.sum(1))
    return eigh(degrees - weights, degrees)[1][:, 1]


def naive_affinities(features: np.ndarray, tau: float) -> np.ndarray:
    count = len(features)
    weights = np.full((count, count), WEAK)
    for i in range(count):
        for j in range(count):
            lengths = np.linalg.norm(features[i]) * np.linalg.norm(features[j])
            if lengths > 0 and features[i] @ features[j] / lengths > tau:
                weights[i, j] = 1
    return weights


def test_affinities_are_the_formulas():
    features = scene()[0].reshape(-1, 32)[::7].astype(np.float64)
    features[3] = 0
    np.testing.assert_array_equal(affinities(features, 0.15), naive_affinities(features, 0.15))


@pytest.mark.parametrize("noise", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("painted", [False, True])
def test_the_eigenvector_is_that_of_the_dense_matrices(noise: float, painted: bool):
    features, labels = scene(noise)
    if painted:
        features[labels == 2] = 0
    weights = affinities(features.reshape(-1, 32), 0.15)
    ours, expected = second_eigenvector(weights), dense_second_eigenvector(weights)
    likeness = abs(ours @ expected) / np.linalg.norm(ours) / np.linalg.norm(expected)
    assert likeness == pytest.approx(1, abs=1e-9)


def test_the_eigenvector_is_the_same_every_time():
    weights = affinities(scene()[0].reshape(-1, 32), 0.15)
    np.testing.assert_array_equal(second_eigenvector(weights), second_eigenvector(weights))
