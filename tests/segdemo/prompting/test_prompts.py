"""Prompts: what a network sees of them, and where a simulated user clicks."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.prompting.clicks import next_click
from segdemo.prompting.prompts import Prompt, prompt_map
from segdemo.windows import Window


def test_box_clicks_and_mask_have_a_channel_each() -> None:
    window = Window(10, 20, 50, 60)  # 40 pixels become 80
    mask = np.zeros((70, 70), np.float32)
    mask[20:60, 10:30] = 1
    prompt = Prompt(
        box=np.array([20, 30, 40, 50]),
        points=np.array([[15.0, 25.0], [45.0, 55.0]]),
        labels=np.array([True, False]),
        mask=mask,
    )
    drawn = prompt_map(prompt, window, 80)
    assert (drawn[0, 20:60, 20:60] == 1).all()
    assert (drawn[0] == 1).sum() == 40 * 40
    assert (drawn[0] == -1).sum() == 80 * 80 - 40 * 40
    assert np.argwhere(drawn[1]).mean(0) == pytest.approx([9.5, 9.5])
    assert np.argwhere(drawn[2]).mean(0) == pytest.approx([69.5, 69.5])
    assert drawn[3, 40, 10] == 1
    assert drawn[3, 40, 70] == -1


def test_what_is_not_given_is_zero() -> None:
    assert not prompt_map(Prompt(), Window.whole((40, 40)), 32).any()


def test_a_click_goes_to_the_middle_of_the_largest_error() -> None:
    truth, found = np.zeros((2, 40, 60), bool)
    truth[5:16, 5:26] = True  # all of it is missed
    found[30:35, 40:45] = True  # a smaller part is too much
    x, y, positive = next_click(found, truth) or (0, 0, False)
    assert positive
    assert y == 10.5
    assert 10 <= x <= 21  # equally far from both sides
    assert next_click(found | truth, truth) == (42.5, 32.5, False)
    assert next_click(truth, truth) is None


def test_drawn_clicks_stay_inside_the_error() -> None:
    truth = np.zeros((30, 30), bool)
    truth[8:20, 8:20] = True
    clicks = [next_click(np.zeros_like(truth), truth, np.random.default_rng(s)) for s in range(20)]
    points = {(x, y) for x, y, _ in filter(None, clicks)}
    assert len(points) > 5
    assert all(10 < x < 18 and 10 < y < 18 for x, y in points)
