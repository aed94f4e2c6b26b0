"""Normalised cuts over patches, beside the plain formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.linalg import eigh

from segdemo.datatypes import InputError
from segdemo.uis.maskcut import (
    PAPER_CUTS,
    WEAK,
    MaskCutSettings,
    affinities,
    cut_patches,
    mask_cut,
    salient_part,
    second_eigenvector,
)

SIDE = 24
OBJECTS = {1: (slice(4, 14), slice(3, 11)), 2: (slice(9, 20), slice(14, 22))}


def scene(noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (h, w, 32) of a background and two objects, and the objects' labels."""
    random = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.int64)
    for label, place in OBJECTS.items():
        labels[place] = label
    kinds = random.standard_normal((3, 32))
    features = kinds[labels] + noise * random.standard_normal((SIDE, SIDE, 32))
    return features.astype(np.float32), labels


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


def test_objects_are_found_one_after_the_other():
    features, labels = scene()
    found = cut_patches(features, PAPER_CUTS)
    overlaps = [
        max((part & (labels == k)).sum() / (part | (labels == k)).sum() for part in found)
        for k in OBJECTS
    ]
    assert min(overlaps) > 0.95


def test_masks_have_the_pictures_size_and_touch_at_most():
    masks = mask_cut(scene()[0], (100, 170))
    assert masks.size == (100, 170)
    assert 2 <= len(masks) <= PAPER_CUTS.rounds
    assert masks.masks.sum(0).max() == 1
    assert masks.masks[:, 40, 50].any()
    assert not masks.masks[:2, 0, 0].any()
    assert masks.scores.tolist() == [1] * len(masks)


def test_one_round_finds_one_object():
    assert len(mask_cut(scene()[0], (50, 50), MaskCutSettings(rounds=1))) == 1


def test_small_objects_are_dropped():
    assert len(mask_cut(scene()[0], (50, 50), MaskCutSettings(smallest=0.9))) == 0


@pytest.mark.parametrize("side", [2, 3, 8])
@pytest.mark.parametrize("features", [np.zeros, np.ones])
def test_where_all_patches_are_alike_there_is_no_object(side: int, features: Callable[..., Any]):
    assert mask_cut(features((side, side, 4), np.float32), (30, 20)).masks.shape == (0, 30, 20)


@pytest.mark.parametrize("side", [2, 3, 8])
def test_few_patches_are_enough(side: int):
    features = np.ones((side, side, 4), np.float32)
    features[0, 0] *= -1
    (mask,) = mask_cut(features, (side, side), MaskCutSettings(rounds=1, smallest=0)).masks
    np.testing.assert_array_equal(mask, features[..., 0] < 0)


class TestSalientPart:
    @pytest.fixture
    def vector(self) -> np.ndarray:
        """A background a little below zero, an object far above in its middle."""
        vector = np.full((8, 8), -0.1)
        vector[2:5, 3:6] = 1
        return vector

    def test_it_is_the_side_of_the_largest_value_whatever_the_sign(self, vector: np.ndarray):
        nothing = np.zeros((8, 8), bool)
        for sign in (1, -1):
            np.testing.assert_array_equal(salient_part(sign * vector, nothing), vector > 0)

    def test_it_is_the_other_side_if_that_holds_three_corners(self):
        vector = np.full((8, 8), -1.0)
        vector[2:5, 3:8] = 0.3
        part = salient_part(vector, np.zeros((8, 8), bool))
        np.testing.assert_array_equal(part, vector > 0)

    def test_two_corners_are_allowed(self):
        vector = np.full((8, 8), -0.2)
        vector[5:] = 1
        part = salient_part(vector, np.zeros((8, 8), bool))
        np.testing.assert_array_equal(part, vector > 0)

    def test_only_the_region_around_the_peak_counts_and_its_holes_are_filled(
        self, vector: np.ndarray
    ):
        expected = vector > 0
        vector[3, 4] = -0.1
        vector[7, 2:6] = 0.9
        np.testing.assert_array_equal(salient_part(vector, np.zeros((8, 8), bool)), expected)

    def test_painted_patches_are_not_sought(self, vector: np.ndarray):
        painted = vector > 0
        vector[7, 2:6] = 0.5
        part = salient_part(vector, painted)
        np.testing.assert_array_equal(part, vector == 0.5)

    def test_nothing_is_left_when_all_is_painted(self, vector: np.ndarray):
        assert salient_part(vector, np.ones((8, 8), bool)) is None


@pytest.mark.parametrize(
    ("name", "value"), [("tau", 2), ("rounds", 0), ("rounds", 33), ("smallest", -0.1)]
)
def test_settings_out_of_range_are_refused(name: str, value: float):
    with pytest.raises(InputError, match=f"{name} {value} is outside"):
        MaskCutSettings(**{name: value})
