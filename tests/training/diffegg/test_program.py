"""Stage 2 as a program: it learns, resumes exactly, runs on two processes, and its folder opens."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from huggingface_hub import constants
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.registry import WEIGHTS, Weights
from segdemo.datatypes import InputError
from segdemo.images import load_rgb
from tests.segdemo.uis.vits import write_vit
from tests.training.diffegg.edge_drawings import draw_pictures
from training.diffegg.__main__ import main
from training.diffegg.data import EdgePair
from training.diffegg.settings import DiffEGGSettings
from training.diffegg.train import prepare, train
from training.loop.average import trained_state


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return draw_pictures(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(autouse=True)
def own_precision() -> Iterator[None]:
    """Let every test choose its precision: accelerate keeps the first of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def few(drawn: tuple[Path, Path], tiny_backbone_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of a run of moments, on the tiny model."""
    return {
        "pictures": str(drawn[0]),
        "pseudo_edges": str(drawn[1]),
        "output_dir": str(tmp_path / "run"),
        "backbone": str(tiny_backbone_folder),
        "device": "cpu",
        "precision": "fp32",
        "size": 64,
        "channels": 8,
        "rank": 2,
        "batch_size": 2,
        "epochs": 0,
        "warmup_steps": 1,
        "max_steps": 4,
    }


def test_a_few_steps_teach_it_edges_and_one_flag_opens_the_result(
    few: dict[str, Any], drawn: tuple[Path, Path], tiny_backbone_folder: Path
) -> None:
    wanted = few | {
        "max_steps": 40,
        "reconstruction": "none",
        "generator_learning_rate": 1e-2,
        "ema_decay": 0.8,
        "validate_steps": 1000,
        "validation_count": 2,
    }
    prepared = prepare(DiffEGGSettings(**wanted))
    with torch.no_grad():
        prepared.task.model.eval()
        before = prepared.task.validate()  # type: ignore[misc]
    folder = train(DiffEGGSettings(**wanted))
    run = folder.parent
    header, *_, last = (run / "validation.csv").read_text().splitlines()
    after = dict(zip(header.split(","), map(float, last.split(",")), strict=True))
    assert after["dice"] < before["dice"] - 0.2
    assert after["max_f"] > before["max_f"]
    panels = sorted(file.name for file in (run / "panels").iterdir())
    assert panels == [f"{n:03d}-{i:02d}-photo.png" for n in (1, 2) for i in (0, 1)]
    last_panel = load_rgb(run / "panels" / panels[-1])[:, -64:].astype(int)
    assert (last_panel[..., 1] > last_panel[..., 0]).any(), "edges that were added are green"
    assert after["edge_components"] >= 1 >= after["closed_contours"] >= 0
    assert (run / "curves.png").exists()
    for name in ("export", "best"):
        readme = (run / name / "README.md").read_text()
        assert (
            "| checkpoint | step | max F | dice | MAE | edge components | closed" in readme
            and "| best | 40 |" in readme
        )
        assert "base_model" not in readme, "a folder of this machine means nothing to the Hub"

    assert not [f for f in folder.rglob("*.json") if str(run.parent) in f.read_text()]
    assert not list(folder.rglob("*.pt"))
    assistant = AnnotationAssistant(device="cpu", backbone=str(folder))
    image = load_rgb(drawn[0] / "0" / "photo.png")
    edge = assistant.edges(image)
    assert edge.origin == "edge_generator"
    assert "trained without annotations, as DiffEGG describes" in assistant.edge_source.label
    assert edge.probability.shape == image.shape[:2]
    assert np.ptp(edge.probability) > 0.3


def test_a_vision_transformer_is_trained_without_reconstruction_and_opens(
    few: dict[str, Any], drawn: tuple[Path, Path], tmp_path: Path
) -> None:
    write_vit(tmp_path / "dino", "vit")
    changed = {"backbone": str(tmp_path / "dino"), "max_steps": 2, "gradient_checkpointing": True}

    folder = train(DiffEGGSettings(**few | changed))

    row = json.loads((folder.parent / "log.jsonl").read_text().splitlines()[-1])
    assert row["reconstruction"] == 0 and row["dice"] > 0
    assert (folder / "adapter" / "adapter_model.safetensors").exists()
    image = load_rgb(drawn[0] / "0" / "photo.png")
    edge = AnnotationAssistant(device="cpu", backbone=str(folder)).edges(image)
    assert edge.origin == "edge_generator" and edge.probability.shape == image.shape[:2]


def test_a_generator_that_sees_the_attention_map_itself_is_trained_and_opens(
    few: dict[str, Any], drawn: tuple[Path, Path]
) -> None:
    wanted = few | {"features": "attention", "max_steps": 12, "log_steps": 3}
    folder = train(DiffEGGSettings(**wanted | {"generator_learning_rate": 1e-2}))

    rows = [json.loads(row) for row in (folder.parent / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["dice"] < rows[0]["dice"]
    (level,) = json.loads((folder / "edge_generator" / "config.json").read_text())["levels"]
    assert level["attention"] and level["width"] == (64 / level["stride"]) ** 2
    assistant = AnnotationAssistant(device="cpu", backbone=str(folder))
    assert "on the accumulated attention map" in assistant.edge_source.label
    edge = assistant.edges(load_rgb(drawn[0] / "0" / "photo.png"))
    assert edge.origin == "edge_generator" and edge.probability.shape == (96, 128)


def test_a_checkpoint_holds_adapter_and_generator_only(few: dict[str, Any]) -> None:
    prepared = prepare(DiffEGGSettings(**few | {"relabel_every": 1.0}))
    names = trained_state(prepared.model).keys()
    assert {name.split(".")[0] for name in names} == {"generator", "adapter", "teacher"}
    assert all(p.requires_grad for p in prepared.model.parameters())
    trained = {id(p) for p in prepared.model.parameters()}
    make: Any = prepared.task.make
    assert pickle.loads(pickle.dumps(make)) == make  # workers get a copy
    frozen = [p for p in prepared.model.backbone.network.parameters() if id(p) not in trained]
    assert frozen and not any(p.requires_grad for p in frozen)


def test_a_run_in_two_parts_ends_as_one_in_one(few: dict[str, Any], tmp_path: Path) -> None:
    # the teacher, too, must be resumed: its weights are of steps 3 and 6
    same = few | {"schedule": "constant", "relabel_every": 1.0}
    whole, parts = (str(tmp_path / name) for name in ("whole", "parts"))
    train(DiffEGGSettings(**same | {"max_steps": 8, "output_dir": whole}))
    train(DiffEGGSettings(**same | {"max_steps": 4, "output_dir": parts}))
    train(DiffEGGSettings(**same | {"max_steps": 8, "output_dir": parts}))
    first, second = (
        torch.load(Path(folder) / "step_0000008.pt", weights_only=True) for folder in (whole, parts)
    )
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name]), name
    for name, value in first["average"]["values"].items():
        assert torch.equal(value, second["average"]["values"][name]), name
    assert int(first["model"]["teacher.generation"]) > 1


def test_the_result_goes_to_the_hub_only_where_others_have_its_base(
    few: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = few | {"max_steps": 1, "push_to_hub": "me/mine"}
    with pytest.raises(InputError, match="give --backbone a Hub id"):
        train(DiffEGGSettings(**wanted))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(WEIGHTS, "tiny", Weights(Path(few["backbone"]), ("backbone",), "tiny"))
    with pytest.raises(InputError, match=r"export could not be uploaded to me/mine .* nothing is"):
        train(DiffEGGSettings(**wanted | {"backbone": "tiny"}))
    assert (Path(few["output_dir"]) / "export" / "adapter").is_dir()


def test_another_seed_holds_out_the_same_pictures(few: dict[str, Any]) -> None:
    def held(**changes: int) -> list[EdgePair]:
        wanted = few | {"validate_steps": 1, "validation_count": 2} | changes
        validate: Any = prepare(DiffEGGSettings(**wanted)).task.validate
        return list(validate.pairs)

    assert held() == held(seed=5) != held(validation_seed=1)
    assert len(held(validation_count=6)) == 3  # of six images half


def test_mixed_precision_and_activations_computed_twice_run(few: dict[str, Any]) -> None:
    options = {"precision": "bf16", "gradient_checkpointing": True, "max_steps": 1, "timestep": 50}
    folder = train(DiffEGGSettings(**few | options | {"edge_size": 128}))
    assert (folder / "adapter").is_dir()
    kept = json.loads((folder / "edge_generator" / "config.json").read_text())
    assert (kept["size"], kept["timestep"]) == (128, 50)


def test_problems_are_listed_before_anything_is_loaded(few: dict[str, Any], tmp_path: Path) -> None:
    photos, edges = draw_pictures(tmp_path / "damaged", 4)
    (edges / "0" / "photo.npz").write_bytes(b"nonsense")
    (photos / "1" / "photo.png").unlink()
    Image.new("RGB", (50, 40)).save(photos / "2" / "photo.png")
    bad = few | {"pictures": str(photos), "pseudo_edges": str(edges), "backbone": "nowhere"}
    with pytest.raises(InputError, match=r"3 problem\(s\)") as refused:
        train(DiffEGGSettings(**bad))
    assert "0/photo.npz" in str(refused.value) and "1/photo.npz" in str(refused.value)
    assert "2/photo.npz: is of an image of 128 x 96 pixels" in str(refused.value)
    with pytest.raises(InputError, match="No backbone 'nowhere'"):
        train(DiffEGGSettings(**bad, allow_problems=True))


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--size", "100"], "multiple of 64"),
        (["--reconstruction", "both"], "choose one of denoise"),
        (["--smallest_crop", "0"], "smallest_crop 0.0 is outside"),
        (["--sure_edge", "0.1"], "--sure_interior"),
        (["--features", "attention", "--edge_size", "128"], "at one size"),
        (["--pseudo_edges", "nowhere"], "is not a folder"),
        (["--batch_size", "0"], "batch_size 0: choose 1 or more"),
    ],
)
def test_wrong_usage_is_one_sentence(
    flags: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--pictures", str(tmp_path), "--pseudo_edges", str(tmp_path)]
    assert main([*folders, "--output_dir", str(tmp_path / "run"), *flags]) == 2
    assert sentence in capsys.readouterr().err
