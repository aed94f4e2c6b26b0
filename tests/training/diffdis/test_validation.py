"""Max F and MAE on hand-made maps."""

from __future__ import annotations

import numpy as np
import pytest

from training.diffdis.validation import f_curve, panel


def test_f_at_every_threshold_is_that_of_its_formula() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((30, 40)).astype(np.float32)
    subject = rng.random((30, 40)) < mask
    curve = f_curve(mask, subject)
    levels = (mask * 255).astype(np.uint8)
    for threshold in (0, 1, 77, 128, 254, 255):
        predicted = levels >= threshold
        right = (predicted & subject).sum()
        precision, recall = right / max(predicted.sum(), 1), right / subject.sum()
        wanted = 1.3 * precision * recall / max(0.3 * precision + recall, 1e-12)
        assert curve[threshold] == pytest.approx(wanted)


def test_a_perfect_mask_reaches_one_and_no_subject_gives_zero() -> None:
    subject = np.eye(8, dtype=bool)
    assert f_curve(subject.astype(np.float32), subject).max() == pytest.approx(1)
    assert not f_curve(np.ones((8, 8), np.float32), np.zeros((8, 8), bool)).any()


def test_a_panel_shows_three_pictures_side_by_side() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    truth = np.zeros((300, 600), np.uint8)
    assert panel(image, truth, truth.astype(np.float32)).size == (3 * 256, 128)
