"""MaskCut on features of patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.uis.maskcut import MaskCutSettings, cut_patches, salient_part
from tests.segdemo.uis.scenes import OBJECTS, iou, scene


def test_objects_are_found_one_after_the_other():
    features, labels = scene()
    found = cut_patches(features, MaskCutSettings())
    assert 2 <= len(found) <= 3
    assert np.sum(found, axis=0).max() == 1
    assert min(max(iou(part, labels == k) for part in found) for k in OBJECTS) > 0.95


def test_one_round_finds_one_object():
    assert len(cut_patches(scene()[0], MaskCutSettings(rounds=1))) == 1


def test_small_objects_are_dropped():
    assert cut_patches(scene()[0], MaskCutSettings(smallest=0.9)) == []


@pytest.mark.parametrize("side", [2, 3, 8])
@pytest.mark.parametrize("features", [np.zeros, np.ones])
def test_where_all_patches_are_alike_there_is_no_object(side: int, features: Callable[..., Any]):
    assert cut_patches(features((side, side, 4), np.float32), MaskCutSettings()) == []


@pytest.mark.parametrize("side", [2, 3, 8])
def test_few_patches_are_enough(side: int):
    features = np.ones((side, side, 4), np.float32)
    features[0, 0] *= -1
    (mask,) = cut_patches(features, MaskCutSettings(rounds=1, smallest=0))
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
