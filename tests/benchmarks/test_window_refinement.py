"""Windows around thin parts: where they lie, and what is measured inside them."""

from __future__ import annotations

import numpy as np

from benchmarks.window_refinement import inside, thin_windows


def _disk_with_spoke() -> np.ndarray:
    rows, columns = np.mgrid[:200, :300]
    mask = (rows - 100) ** 2 + (columns - 80) ** 2 < 40**2
    mask[98:102, 80:250] = True
    return mask


def test_the_spoke_has_a_window_and_the_disk_none() -> None:
    (box,) = thin_windows(_disk_with_spoke())
    left, top, right, bottom = box
    assert 70 <= left < 120 and 250 <= right <= 300
    assert 0 <= top < 98 and 102 < bottom <= 200
    assert not thin_windows(np.zeros((40, 40), bool))


def test_only_what_lies_inside_counts() -> None:
    truth = _disk_with_spoke()
    found = truth.astype(np.float32)
    found[:, :60] = 0  # far from the window
    (box,) = thin_windows(truth)
    assert inside(found, box, truth) == (1.0, 1.0)
    found[98:102, 130:] = 0
    overlap, boundary = inside(found, box, truth)
    assert 0 < overlap < 1 and boundary < 1
