"""Windows that are looked at again, with a look whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.window_refinement import refine_window

IMAGE = np.random.default_rng(0).integers(1, 256, (60, 80, 3), np.uint8)


def test_a_refined_window_has_no_seam() -> None:
    mask = np.zeros((60, 80), np.float32)

    def look(part: RGBImage, answer: FloatMap) -> FloatMap:
        return np.ones(part.shape[:2], np.float32)

    refined = refine_window(IMAGE, mask, np.array([30, -5, 70, 50.0]), look)
    assert refined[:40, 40:60].min() == 1 and refined[0, 50] == 1  # up to the image's own border
    assert not refined[51:].any() and not refined[:, :30].any()
    steps = max(np.abs(np.diff(refined, axis=axis)).max() for axis in (0, 1))
    assert steps <= 0.25
    assert not mask.any()


@pytest.mark.parametrize("box", [(0, 0, 15, 40), (70, 10, 200, 40), (np.nan, 0, 40, 40)])
def test_a_window_too_small_is_one_sentence(box: tuple[float, ...]) -> None:
    mask = np.zeros((60, 80), np.float32)
    with pytest.raises(InputError, match="at least 16 x 16"):
        refine_window(IMAGE, mask, np.array(box), lambda part, answer: answer)
