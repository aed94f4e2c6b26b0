"""True edges as stage 2's labels: outlines of instances, and what people drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import PseudoEdge
from tests.training.test_diffegg import own_precision  # noqa: F401
from training.diffegg import train
from training.diffegg_settings import DiffEGGSettings
from training.edge_losses import masked_cross_entropy
from training.edge_truth import IGNORED_INSTANCE, UNKNOWN, instance_edges, main
from training.pseudo_edge_files import read_edge


def test_both_sides_of_a_border_are_edge_and_unlabelled_ground_is_unknown() -> None:
    x = IGNORED_INSTANCE
    labels = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [0, 0, 0, 0, x], [0, 0, 0, 0, x]])
    u = np.float32(UNKNOWN)
    expected = np.array([[0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1, 1, u], [0, 0, 0, u, u]])
    found = instance_edges(labels)
    # the pixel below 2 borders on unlabelled ground alone; 2 itself keeps its border with 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_cross_entropy_counts_certain_pixels_only() -> None:
    probability = torch.tensor([[[0.5, 0.9], [0.2, 1.0]]])
    labels = torch.tensor([[[1, -1], [0, 1]]], dtype=torch.int8)
    expected = -(np.log(0.5) + np.log(0.8) + 0) / 3
    assert float(masked_cross_entropy(probability, labels)) == pytest.approx(expected, abs=1e-5)
    assert float(masked_cross_entropy(probability, torch.full_like(labels, -1))) == 0


def test_a_generator_learns_from_it_with_photo_features_and_without_a_lora(
    material_dir: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth"
    assert main(["--material_dir", str(material_dir), "--output_dir", str(truth)]) == 0
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
    assert edge.origin == "diffegg"
    assert edge.probability.shape == (70, 90)


def test_missing_material_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["--material_dir", str(tmp_path), "--output_dir", str(tmp_path / "x")]) == 2
    assert "unpack the training material" in caplog.text
