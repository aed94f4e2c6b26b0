"""IoU over folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.masks import Measured, iou, main, pairs, spread
from segdemo.datatypes import InputError


def test_iou_counts_pixels_by_hand() -> None:
    predicted = np.array([[1, 1, 0], [0, 0, 0]], bool)
    truth = np.array([[0, 1, 1], [0, 0, 1]], bool)

    assert iou(predicted, truth) == 1 / 4
    assert iou(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 1


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "cat.png")

    with pytest.raises(InputError, match=r"cat\.png has no mask"):
        pairs(tmp_path)


def test_the_program_measures_a_model_on_a_folder(
    tmp_path: Path, tiny_diffdis_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (tmp_path / "set" / kind).mkdir(parents=True)
        Image.new(mode, (40, 30), "white").save(tmp_path / "set" / kind / "a.png")
    panel = tmp_path / "panel.png"

    status = main(
        ["--bench", str(tmp_path), "--subsets", "set", "--model", str(tiny_diffdis_folder)]
        + ["--panel", str(panel)]
    )

    assert status == 0
    assert '"size": 64' in capsys.readouterr().out
    assert Image.open(panel).width == 3 * 160 * 3

    options = ["--bench", str(tmp_path), "--subsets", "set", "--model", str(tiny_diffdis_folder)]
    assert main([*options, "--round_trip"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["iou"]["set"] <= 1


def test_a_sheet_goes_from_the_best_to_the_worst() -> None:
    measured = [Measured(value, Image.new("RGB", (1, 1))) for value in (0.2, 0.9, 0.5, 0.1, 0.7)]
    assert [one.iou for one in spread(measured, 3)] == [0.9, 0.5, 0.1]
    assert spread(measured, 0) == measured
