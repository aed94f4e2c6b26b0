"""Windows: what is cut out comes back to its place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segdemo.windows import Window


def test_a_map_of_a_window_comes_back_to_its_place() -> None:
    truth = np.zeros((60, 100), np.uint8)
    truth[20:40, 30:70] = 255
    window = Window.around(np.array([30, 20, 70, 40]), 1.5)
    seen = np.asarray(window.crop(Image.fromarray(truth), 64), np.float32) / 255
    back = window.paste_back(seen, (100, 60))
    assert back.shape == (60, 100)
    assert ((back > 0.5) == (truth > 0)).all()


@pytest.mark.parametrize("side", [16, 48])
def test_a_reduced_window_is_averaged_not_sampled(side: int) -> None:
    board = (np.indices((480, 480)).sum(0) % 2 * 255).astype(np.uint8)
    seen = np.asarray(Window.whole((480, 480)).crop(Image.fromarray(board), side))
    assert abs(seen.astype(int) - 127).max() <= 3


def test_no_side_of_a_window_is_shorter_than_half_the_other() -> None:
    width, height = Window.around(np.array([10, 10, 110, 12]), 1.0).size
    assert (width, height) == (100, 50)
