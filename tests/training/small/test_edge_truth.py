"""True edges as stage 2's labels: outlines of instances, and what people drew."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError, PseudoEdge
from training.diffegg.losses import masked_cross_entropy
from training.diffegg.settings import DiffEGGSettings
from training.diffegg.train import train
from training.small.edge_truth import IGNORED_INSTANCE, UNKNOWN, crop_window, instance_edges, main
from training.stored_edges import read_edge


def test_both_sides_of_a_border_are_edge_and_unlabelled_ground_is_unknown() -> None:
    x = IGNORED_INSTANCE
    labels = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [0, 0, 0, 0, x], [0, 0, 0, 0, x]])
    u = np.float32(UNKNOWN)
    expected = np.array([[0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1, 1, u], [0, 0, 0, u, u]])
    found = instance_edges(labels)
    # the pixel below 2 borders on unlabelled ground alone; 2 itself keeps its border with 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_parts_lie_where_objects_touch_else_on_a_border_else_anywhere() -> None:
    labels = np.zeros((60, 80), np.int64)
    labels[5:20, 5:30] = 1
    labels[40:55, 50:60] = 2
    labels[40:55, 60:70] = 3
    for seed in range(20):
        part = labels[crop_window(labels, np.random.default_rng(seed))]
        assert 20 <= part.shape[0] <= 48 and 26 <= part.shape[1] <= 64
        assert {2, 3} <= set(np.unique(part).tolist())
    labels[labels == 3] = IGNORED_INSTANCE  # unlabelled ground touches nobody
    for seed in range(20):
        assert len(np.unique(labels[crop_window(labels, np.random.default_rng(seed))])) > 1
    empty = np.zeros((30, 40), np.int64)
    assert min(empty[crop_window(empty, np.random.default_rng(0))].shape) > 9


def test_crowds_and_parts_are_written_and_what_has_no_edge_is_not(
    material_dir: Path, tmp_path: Path
) -> None:
    material = tmp_path / "material"
    shutil.copytree(material_dir, material)
    Image.fromarray(np.zeros((40, 60), np.uint16)).save(material / "coco" / "instances" / "0.png")
    out = tmp_path / "truth"
    options = ["--material_dir", str(material), "--output_dir", str(out)]
    assert main([*options, "--crowd_count", "2", "--photo_parts", "2"]) == 0
    written = {p.relative_to(out / "pictures").as_posix() for p in out.rglob("*.png")}
    assert {"coco/1.png", "coco/1-0.png", "coco/1-1.png", "crowds/00001.png"} <= written
    assert not {name for name in written if name.startswith("coco/0")}
    for file in (out / "edges").rglob("*.npz"):
        picture = out / "pictures" / file.relative_to(out / "edges").with_suffix(".png")
        assert read_edge(file).picture_size == Image.open(picture).size[::-1]


@pytest.fixture(scope="module")
def truth(material_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    assert main(["--material_dir", str(material_dir), "--output_dir", str(folder)]) == 0
    return folder


def test_a_generator_starts_from_the_weights_of_another(
    truth: Path, tiny_backbone_folder: Path, tmp_path: Path
) -> None:
    first = DiffEGGSettings(
        pictures=str(truth / "pictures"),
        pseudo_edges=str(truth / "edges"),
        output_dir=str(tmp_path / "first"),
        backbone=str(tiny_backbone_folder),
        rank=0,
        reconstruction="none",
        size=64,
        channels=8,
        batch_size=2,
        epochs=0,
        max_steps=1,
        device="cpu",
        precision="fp32",
    )
    export = train(first)
    second = replace(
        first, output_dir=str(tmp_path / "second"), start_from=str(export), init_seed=9
    )
    again = train(second)
    old, new = (
        load_file(folder / "edge_generator" / "diffusion_pytorch_model.safetensors")
        for folder in (export, again)
    )
    for name, tensor in old.items():
        # one step of the warm-up moves a weight by 1e-5; another seed would by 0.1
        torch.testing.assert_close(new[name], tensor, atol=1e-4, rtol=0)
    card = json.loads((again / "segdemo.json").read_text())
    assert card["training"]["settings"]["start_from"]["settings"]["max_steps"] == 1
    assert str(tmp_path) not in json.dumps(card)

    for wrong, sentence in (
        (replace(second, start_from=str(truth)), "not a folder with edge_generator/"),
        (
            replace(second, channels=16, output_dir=str(tmp_path / "third")),
            "has another architecture",
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            train(wrong)
    (export / "adapter").mkdir()
    with pytest.raises(InputError, match="belongs to the LoRA"):
        train(replace(second, output_dir=str(tmp_path / "fourth")))


def test_cross_entropy_counts_certain_pixels_only() -> None:
    probability = torch.tensor([[[0.5, 0.9], [0.2, 1.0]]])
    labels = torch.tensor([[[1, -1], [0, 1]]], dtype=torch.int8)
    expected = -(np.log(0.5) + np.log(0.8) + 0) / 3
    assert float(masked_cross_entropy(probability, labels)) == pytest.approx(expected, abs=1e-5)
    assert float(masked_cross_entropy(probability, torch.full_like(labels, -1))) == 0


def test_a_generator_learns_from_it_with_photo_features_and_without_a_lora(
    truth: Path, tiny_backbone_folder: Path, tmp_path: Path
) -> None:
    written = sorted(p.relative_to(truth / "edges").as_posix() for p in truth.rglob("*.npz"))
    assert written == ["bsds/0.npz", "bsds/1.npz", "coco/0.npz", "coco/1.npz"]
    shares = {label: read_edge(truth / "edges" / "coco/0.npz").pseudo_edge for label in (1, 0)}
    assert shares[1].share(PseudoEdge.EDGE) > 0.01
    assert shares[0].share(PseudoEdge.INTERIOR) > 0.8

    folder = train(
        DiffEGGSettings(
            pictures=str(truth / "pictures"),
            pseudo_edges=str(truth / "edges"),
            output_dir=str(tmp_path / "run"),
            backbone=str(tiny_backbone_folder),
            photo_features=True,
            rank=0,
            cross_entropy=1.0,
            reconstruction="none",
            size=64,
            channels=8,
            batch_size=2,
            epochs=0,
            max_steps=2,
            device="cpu",
            precision="fp32",
        )
    )
    assert not (folder / "adapter").exists()
    assert (folder / "photo_features" / "config.json").exists()
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    edge = AnnotationAssistant(device="cpu", backbone=str(folder)).edges(image)
    assert edge.origin == "edge_generator"
    assert edge.probability.shape == (70, 90)


def test_missing_material_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--material_dir", str(tmp_path), "--output_dir", str(tmp_path / "x")]) == 2
    assert "unpack the training material" in capsys.readouterr().err
