"""Edge ground truth equals the official generation script's."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.images import mask_contour
from tests.parity import FIXTURES

RECORDED = np.load(FIXTURES / "contour_io.npz")


@pytest.mark.parametrize(
    "case", [name.removeprefix("gt__") for name in RECORDED.files if name.startswith("gt__")]
)
def test_contours_equal_the_official_ones(case: str) -> None:
    assert np.array_equal(mask_contour(RECORDED[f"gt__{case}"]), RECORDED[f"contour__{case}"])
