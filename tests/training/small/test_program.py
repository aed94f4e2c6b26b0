"""The whole recipe of the embedded model, a step a stage, ends in a folder the library opens."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.datatypes import InputError
from segdemo.diffegg.edge_generator import EdgeGenerator
from segdemo.diffegg.features import photo_levels
from segdemo.photo_features import PhotoFeatures
from training.small.__main__ import main
from training.small.settings import SmallSettings
from training.small.train import train


def test_the_recipe_runs_from_material_to_a_model_that_segments(finished: SmallSettings) -> None:
    folder = Path(finished.output_dir) / "export"
    history = json.loads((folder / "segdemo.json").read_text())["training"]["history"]
    assert (
        history["diffdis"]["settings"]["start_from"]["autoencoder"]["last_log_row"]["step"] == "1"
    )

    assert not [file for file in folder.rglob("*.json") if finished.output_dir in file.read_text()]

    assistant = AnnotationAssistant(str(folder), device="cpu", backbone=str(folder))
    assert assistant.native_size == 64
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert assistant.segment(image).mask.shape == (40, 50)
    assert assistant.edges(image).probability.shape == (40, 50)


def test_the_variant_with_imagenet_features_borrows_the_rest_from_the_embedded_model(
    material_dir: Path, tmp_path: Path
) -> None:
    levels = [asdict(level) for level in photo_levels(PhotoFeatures())]
    generator = EdgeGenerator(levels, channels=8, size=64)
    generator.save_pretrained(tmp_path / "edges" / "edge_generator")
    write_card(ModelCard("tiny", "MIT", training={"seed": 5}), tmp_path / "edges")
    train(
        SmallSettings(
            material_dir=str(material_dir),
            output_dir=str(tmp_path / "run"),
            start_from="small",
            photo_features=True,
            edge_model=str(tmp_path / "edges"),
            working_size=128,
            stages=["scenes", "latents", "diffdis", "export"],
            scene_count=4,
            image_size=64,
            max_steps=1,
            batch_size=2,
            precision="fp32",
        )
    )
    folder = tmp_path / "run" / "export"
    assert not (folder / "vae").exists()
    assert not (folder / "prior").exists()
    card = json.loads((folder / "segdemo.json").read_text())
    assert card["training"]["history"]["edge_generator"] == {"seed": 5}
    assistant = AnnotationAssistant(str(folder), device="cpu", backbone=str(folder))
    assert assistant.native_size == 128
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert assistant.segment(image).mask.shape == (40, 50)
    assert assistant.edges(image).origin == "edge_generator"
    shutil.rmtree(folder / "photo_features")
    with pytest.raises(InputError, match="photo_features"):
        AnnotationAssistant(str(folder), device="cpu").segment(image)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--stages", "polish"], "No stage 'polish'"),
        (["--image_size", "100"], "multiples of 64"),
        (["--image_size", "64"], "at least 128 for the autoencoder"),
        (["--learning_rate", "-1"], "learning_rate -1.0 is outside"),
    ],
)
def test_wrong_usage_is_one_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--material_dir", str(tmp_path), *options]) == 2
    assert sentence in capsys.readouterr().err
