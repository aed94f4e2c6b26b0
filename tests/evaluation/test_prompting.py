"""The program of prompting: boxes, simulated clicks, clicks needed, controls."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation import prompting
from evaluation.metrics.dis import iou
from segdemo.prompting.interface import PromptedMask
from segdemo.prompting.network import PromptedU2Net
from segdemo.prompting.prompts import Prompt

SIZE = (48, 64)


class Scripted:
    """Answers the n-th prompt with the n-th mask."""

    def __init__(self, answers: list[np.ndarray]) -> None:
        self.answers, self.prompts = answers, list[Prompt]()

    def set_image(self, image: np.ndarray) -> None:
        raise AssertionError("the image is set by whoever measures")

    def predict(self, prompt: Prompt) -> PromptedMask:
        self.prompts.append(prompt)
        return PromptedMask(self.answers[len(self.prompts) - 1].astype(np.float32), 1.0)


def test_clicks_go_where_the_last_answer_was_wrong_and_come_with_it() -> None:
    truth = np.zeros(SIZE, bool)
    truth[10:30, 10:30] = True
    half = truth.copy()
    half[:, 20:] = False
    prompter = Scripted([half, truth | np.roll(truth, 30, 1), truth])
    assert prompting.click_ious(prompter, truth, 5) == [0.5, 0.5, 1, 1, 1]
    first, second, third = prompter.prompts
    assert first.mask is None
    np.testing.assert_array_equal(second.mask, half)
    assert 20 < second.points[1, 0] < 30  # into the half that was missed
    assert third.labels.tolist() == [True, True, False]
    assert third.points[2, 0] > 40  # into what was too much


def test_clicks_needed_are_all_where_the_target_is_never_reached() -> None:
    assert prompting.clicks_needed([0.5, 0.86, 0.8], 0.85) == 2
    assert prompting.clicks_needed([0.5, 0.86, 0.8], 0.9) == 3


def test_grabcut_finds_a_square_of_another_colour_and_a_box_is_moved_by_a_twentieth() -> None:
    image = np.zeros((*SIZE, 3), np.uint8) + np.array([30, 60, 200], np.uint8)
    truth = np.zeros(SIZE, bool)
    truth[15:35, 20:40] = True
    image[truth] = (220, 180, 20)
    wide = np.array([16.0, 11, 44, 39])
    assert iou(prompting.grabcut(image, wide), truth) > 0.95
    moved = prompting.wrong_box(wide, np.random.default_rng(0))
    np.testing.assert_allclose(abs(moved - wide), 28 / 20)
    assert prompting.grabcut(image, np.array([0.0, 0, 64, 48])).all()  # nothing to learn from


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two photos with two objects and one too small; a tiny prompter."""
    for folder in ("images", "instances"):
        (tmp_path / "bench" / folder).mkdir(parents=True)
    for stem in ("a", "b"):
        labels = np.zeros(SIZE, np.uint8)
        labels[2:42, 2:32], labels[5:40, 34:64], labels[44:47, 44:47] = 1, 2, 3
        Image.fromarray(labels).save(tmp_path / "bench/instances" / f"{stem}.png")
        image = np.repeat(labels[..., None] * 60 + 20, 3, 2)
        Image.fromarray(image).save(tmp_path / "bench/images" / f"{stem}.png")
    torch.manual_seed(0)
    PromptedU2Net(channels=8, inner_channels=4).save_pretrained(tmp_path / "tiny")
    return tmp_path / "bench"


def test_the_program_measures_prompter_and_controls_and_resumes(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--images", str(bench / "images"), "--annotations", str(bench / "instances")]
    options += ["--prompter", str(tmp_path / "tiny"), "--device", "cpu", "--max_clicks", "2"]
    assert prompting.main([*options, "--output_dir", str(out), "--panels", "1"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["counts"] == {"images": 2, "objects": 4}
    figures = results["figures"]
    assert figures["bench/filled box/box"] == 1  # both objects are boxes
    assert 0.7 < figures["bench/filled box/box 5 % wrong"] < 1
    assert 0 <= figures["bench/prompter/2 clicks"] <= 1
    assert figures["bench/prompter/NoC@0.9"] == 2
    assert len(list((out / "worst").glob("*.png"))) == 1
    (bench / "images" / "b.png").unlink()
    assert prompting.main([*options, "--output_dir", str(tmp_path / "other")]) == 2
    assert "has no image in" in capsys.readouterr().err
