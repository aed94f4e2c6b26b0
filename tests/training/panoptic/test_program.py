"""Pseudo-panoptic masks in, a Mask2Former out: it learns, resumes exactly, and is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from transformers import (
    Mask2FormerForUniversalSegmentation,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
)

from benchmarks.panoptic_scenes import write_split
from evaluation import wps
from segdemo.datatypes import InputError
from training.loop.checkpoints import read_rows
from training.loop.sampling import BatchIndex
from training.panoptic import predict
from training.panoptic.__main__ import main
from training.panoptic.settings import PanopticSettings
from training.panoptic.train import prepare, train


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_split(folder, 5, 0)
    return folder


@pytest.fixture(autouse=True)
def own_precision() -> Iterator[None]:
    """Let every test choose its precision: accelerate keeps the first of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def few(scenes: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of a run of moments."""
    return {
        "images": str(scenes / "images"),
        "annotations": str(scenes / "truth.json"),
        "output_dir": str(tmp_path / "run"),
        "model": "tiny",
        "queries": 8,
        "device": "cpu",
        "precision": "fp32",
        "size": 64,
        "batch_size": 2,
        "epochs": 0,
        "warmup_steps": 1,
        "learning_rate": 2e-3,
        "max_steps": 4,
        "log_steps": 1,
    }


def test_the_loss_falls_and_the_predictions_are_measured_by_wps(
    few: dict[str, Any], scenes: Path, tmp_path: Path
) -> None:
    truth = str(scenes / "truth.json")
    longer = {"max_steps": 20, "ema_decay": 0.5, "validate_steps": 1000, "validation_count": 5}
    export = train(PanopticSettings(**few | longer | {"validation_annotations": truth}))
    run = export.parent
    losses = [row["loss"] for row in read_rows(run, "log")]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])
    rows = read_rows(run)
    assert list(rows[0])[:2] == ["step", "PQ"] and len(rows) == 2
    assert len(list((run / "panels").iterdir())) == 8
    Mask2FormerForUniversalSegmentation.from_pretrained(export)

    common = ["--images", str(scenes / "images"), "--model", str(export), "--size", "64"]
    listed = ["--annotations", truth]
    assert predict.main([*common, *listed, "--output_dir", str(tmp_path / "json")]) == 0
    assert predict.main([*common, "--output_dir", str(tmp_path / "codes")]) == 0
    figures = []
    for found in ("json/predictions.json", "codes"):
        given = ["--annotations", truth, "--predictions"]
        out = tmp_path / "out" / found
        assert wps.main([*given, str(tmp_path / found), "--output_dir", str(out)]) == 0
        figures.append(json.loads((out / "results.json").read_text())["figures"])
    assert figures[0] == figures[1]
    for name in ("PQ", "PQth", "PQst"):
        assert rows[-1][name] == pytest.approx(figures[0][f"truth/ours/{name}"], abs=1e-4)


def test_a_run_in_two_parts_ends_as_one_in_one(few: dict[str, Any], tmp_path: Path) -> None:
    same = few | {"schedule": "constant"}
    whole, parts = (str(tmp_path / name) for name in ("whole", "parts"))
    train(PanopticSettings(**same | {"output_dir": whole}))
    for steps in (2, 4):
        train(PanopticSettings(**same | {"max_steps": steps, "output_dir": parts}))
    first, second = (
        torch.load(Path(folder) / "step_0000004.pt", weights_only=True) for folder in (whole, parts)
    )
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name]), name


def test_segments_keep_their_pixels_and_classes_in_a_batch(few: dict[str, Any]) -> None:
    same_size = {"smallest_scale": 1.0, "largest_scale": 1.0, "size": 128}
    make: Any = prepare(PanopticSettings(**few | same_size)).task.make
    batch = make(BatchIndex(0, 0, 0, 0, 0))
    for image, masks, labels in zip(batch.images, batch.masks, batch.labels, strict=True):
        assert image.shape == (3, 128, 128)
        assert torch.equal(masks.sum(0), torch.ones(128, 128)), "every pixel has one segment"
        assert labels.tolist().count(2) == labels.tolist().count(3) == 1  # sky and grass


def test_a_classifier_from_a_folder_gives_its_weights_and_learns_slower(
    few: dict[str, Any], tmp_path: Path
) -> None:
    swin = SwinConfig(
        image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4
    )
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4)
    for classifier in (SwinForImageClassification(swin), ResNetForImageClassification(resnet)):
        classifier.save_pretrained(tmp_path / "classifier")
        prepared = prepare(PanopticSettings(**few | {"model": str(tmp_path / "classifier")}))
        encoder = prepared.model.network.model.pixel_level_module.encoder.state_dict()
        own = classifier.state_dict() | classifier.base_model.state_dict()
        shared = {name: value for name, value in own.items() if name in encoder}
        assert len(shared) > 20
        assert all(torch.equal(encoder[name], value) for name, value in shared.items())
        rates = {prepared.task.rate_scale(name) for name, _ in prepared.model.named_parameters()}
        assert rates == {0.1, 1.0}
    with pytest.raises(InputError, match="--model nowhere cannot be loaded"):
        prepare(PanopticSettings(**few | {"model": "nowhere"}))


def test_problems_are_listed_before_anything_is_trained(
    few: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_split(tmp_path / "bad", 4, 0)
    Image.new("RGB", (9, 9)).save(tmp_path / "bad" / "images" / "0000.png")
    (tmp_path / "bad" / "images" / "0001.png").unlink()
    (tmp_path / "bad" / "truth" / "0002.png").unlink()
    bad = few | {name: few[name].replace(str(Path(few["images"]).parent), str(tmp_path / "bad"))
                 for name in ("images", "annotations")}  # fmt: skip
    options = [f"--{name}={value}" for name, value in bad.items()]
    assert main(options) == 2
    told = capsys.readouterr().err
    assert "3 problem(s)" in told
    assert "0000.png is 128 x 128, its photo 9 x 9" in told
    assert "needs the photo" in told and "needs 0002.png" in told
    assert main([*options, "--allow_problems", "--max_steps", "1"]) == 0
    assert main([*options, "--size", "50"]) == 2
    assert "multiple of 32" in capsys.readouterr().err
