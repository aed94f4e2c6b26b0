"""Our weighted F against PySODMetrics', ties between nearest pixels included."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from py_sod_metrics import WeightedFmeasure

from evaluation.metrics.weighted_f import weighted_f


def reference(values: np.ndarray, mask: np.ndarray) -> float:
    measure = WeightedFmeasure()
    measure.step(values, mask, False)
    return float(measure.weighted_fms[0])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("levels", [1, 3, 255])
def test_equal_to_the_reference_on_specks_of_any_density(share: float, levels: int):
    rng = np.random.default_rng([levels, int(100 * share)])
    for _ in range(12):
        size = tuple(rng.integers(1, 50, 2))
        mask = rng.random(size) < share
        values = np.round(rng.random(size) * levels) / levels
        assert weighted_f(values, mask) == pytest.approx(reference(values, mask), abs=1e-12)


def test_equal_to_the_reference_on_blobs_with_soft_borders():
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = cv2.GaussianBlur(rng.random((90, 120)), (0, 0), 5) > 0.5
        values = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 4).clip(0, 1)
        assert weighted_f(values, mask) == pytest.approx(reference(values, mask), abs=1e-12)


def test_an_empty_truth_scores_nothing_and_a_perfect_mask_everything():
    mask = np.zeros((9, 9), bool)
    assert weighted_f(np.ones((9, 9)), mask) == 0
    mask[3:6, 3:6] = True
    assert weighted_f(mask.astype(np.float64), mask) == pytest.approx(1)
