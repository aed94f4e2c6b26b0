"""The embedded prompter: boxes, clicks and corrections about one image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segdemo.datatypes import InputError
from segdemo.prompting.network import PromptedU2Net
from segdemo.prompting.predictor import EmbeddedPrompter
from segdemo.prompting.prompts import Prompt


@pytest.fixture
def prompter() -> EmbeddedPrompter:
    torch.manual_seed(0)
    network = PromptedU2Net(channels=8, inner_channels=4, with_edge=True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return EmbeddedPrompter(network, side=32)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=np.array([10, 10, 30, 30])),
        Prompt(np.array([10, 10, 30, 30]), np.array([[20.0, 20.0]]), np.array([True])),
    ],
)
def test_mask_and_edge_have_the_images_size_and_nothing_outside_the_window(
    prompter: EmbeddedPrompter, prompt: Prompt
) -> None:
    prompter.set_image(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    found = prompter.predict(prompt)
    assert 0 <= found.score <= 1
    assert found.edge is not None
    assert not np.array_equal(found.edge, found.mask)
    for values in (found.mask, found.edge):
        assert values.shape == (60, 90)
        assert 0 <= values.min() < values.max() <= 1
        assert not values[40:].any()
        assert not values[:, 40:].any()


def test_a_network_without_edges_answers_with_the_mask_alone() -> None:
    prompter = EmbeddedPrompter(PromptedU2Net(channels=8, inner_channels=4), side=32)
    prompter.set_image(np.zeros((40, 40, 3), np.uint8))
    assert prompter.predict(Prompt(box=np.array([5, 5, 30, 30]))).edge is None


def test_a_click_changes_the_answer_and_can_be_taken_back(prompter: EmbeddedPrompter) -> None:
    prompter.set_image(np.random.default_rng(2).integers(0, 255, (64, 64, 3), np.uint8))
    box = np.array([8, 8, 56, 56])
    first = prompter.predict(Prompt(box)).mask
    click = Prompt(box, np.array([[20.0, 20.0]]), np.array([False]), first)
    assert not np.array_equal(prompter.predict(click).mask, first)
    np.testing.assert_array_equal(prompter.predict(Prompt(box)).mask, first)


def test_what_is_missing_is_said(prompter: EmbeddedPrompter) -> None:
    with pytest.raises(InputError, match="set_image"):
        prompter.predict(Prompt(box=np.array([0, 0, 5, 5])))
    prompter.set_image(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match="box or at least one click"):
        prompter.predict(Prompt())


def test_a_click_after_an_empty_answer_looks_at_the_whole_image_again(
    prompter: EmbeddedPrompter,
) -> None:
    prompter.set_image(np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8))
    click = Prompt(points=np.array([[20.0, 20.0]]), labels=np.array([True]))
    empty = replace(click, mask=np.zeros((64, 64), np.float32))
    expected = prompter.predict(click).mask
    assert expected.any()
    np.testing.assert_array_equal(prompter.predict(empty).mask, expected)


def test_a_window_is_looked_at_again_from_the_mask_so_far(prompter: EmbeddedPrompter) -> None:
    image = np.random.default_rng(4).integers(0, 255, (60, 90, 3), np.uint8)
    mask = np.zeros((60, 90), np.float32)
    mask[20:40, 30:60] = 1
    box = np.array([20, 10, 60, 50])
    refined = prompter.refine_window(image, mask, box)
    outside = np.ones(mask.shape, bool)
    outside[10:50, 20:60] = False
    np.testing.assert_array_equal(refined[outside], mask[outside])
    middle = np.s_[25:35, 35:45]
    assert np.abs(refined - mask)[middle].max() > 0
    assert not np.allclose(prompter.refine_window(image, 1 - mask, box)[middle], refined[middle])
