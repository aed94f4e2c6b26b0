"""Every program on two processes: equal weights, exact resuming, shared images, one set of files.

All of them run in one pair of processes, which takes longer to start than to train.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.panoptic_scenes import write_split
from tests.training.diffdis.drawn_pairs import draw_pairs
from tests.training.diffdis.narrow import write_narrow
from tests.training.diffegg.edge_drawings import draw_pictures
from training.loop.checkpoints import RunFiles
from training.pseudo_edges.run import make_pseudo_edges
from training.pseudo_edges.settings import PseudoEdgeSettings
from training.stored_edges import read_edge

ROOT = Path(__file__).parents[2]
RATE = 2e-3

PROGRAM = """
import json, sys, torch
from accelerate import PartialState
from dataclasses import replace
from pathlib import Path
import training.diffdis.train as diffdis
import training.panoptic.train as panoptic
from tests.training.loop.test_loop import SETTINGS, network, task
from training.diffegg.settings import DiffEGGSettings
from training.diffegg.train import prepare
from training.loop.average import trained_state
from training.loop.trainer import train_loop
from training.pseudo_edges.run import make_pseudo_edges
from training.pseudo_edges.settings import PseudoEdgeSettings

folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
# first, because it tells accelerate that there is no GPU
make_pseudo_edges(PseudoEdgeSettings(**settings["pseudo_edges"]))

def keep(name, model):
    torch.save(trained_state(model), folder / f"{name}{PartialState().process_index}.end")

model = network()
train_loop(task(model), folder / "loop", SETTINGS, torch.device("cpu"))
keep("loop", model)

loaded, load = [], diffdis.load_base
diffdis.load_base = lambda *given: loaded.append(load(*given)) or loaded[-1]
given = settings["diffdis"]
for name, steps, schedule in (
    ("falling", [4], "cosine"), ("whole", [4], "constant"), ("parts", [2, 4], "constant")
):
    for last in steps:
        changes = {"max_steps": last, "schedule": schedule, "output_dir": str(folder / name)}
        diffdis.train(diffdis.DiffDISTraining(**given | changes))
    if name == "falling":
        keep("diffdis", loaded[-1].pipeline.unet)

prepared = prepare(DiffEGGSettings(**settings["diffegg"]))
train_loop(prepared.task, folder / "diffegg", prepared.settings, prepared.device)
keep("diffegg", prepared.model)

prepared = panoptic.prepare(panoptic.PanopticSettings(**settings["panoptic"]))
train_loop(prepared.task, folder / "panoptic", prepared.settings, prepared.device)
keep("panoptic", prepared.model)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def stage_1(tiny_backbone_folder: Path) -> dict[str, Any]:
    return {"backbone": str(tiny_backbone_folder), "timesteps": [799, 199], "device": "cpu"}


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbone_folder: Path,
    stage_1: dict[str, Any],
    photos: Path,
) -> Path:
    """Return the folder of what the two processes wrote."""
    folder = tmp_path_factory.mktemp("two")
    images, edges = draw_pictures(folder / "drawn")
    write_split(folder / "scenes", 6, 0)
    damaged = folder / "damaged"
    shutil.copytree(photos, damaged)
    (damaged / "broken.png").write_bytes(b"no picture")
    on_cpu = {"precision": "fp32", "device": "cpu", "batch_size": 2}
    settings = {
        "pseudo_edges": {
            "pictures": [str(damaged)],
            "output_dir": str(folder / "pseudo_edges"),
            **stage_1,
        },
        "diffdis": {
            "data_dir": str(draw_pairs(folder / "pairs", 8)),
            "base_model": str(write_narrow(folder / "narrow")),
            "learning_rate": RATE,
            "warmup_steps": 0,
            "from_scratch": True,
            "denoising": "2/2",
            "validation_share": 0.2,
            **on_cpu,
        },
        "diffegg": {
            "pictures": str(images),
            "pseudo_edges": str(edges),
            "output_dir": str(folder / "diffegg"),
            "backbone": str(tiny_backbone_folder),
            "size": 64,
            "channels": 8,
            "rank": 2,
            "epochs": 0,
            "warmup_steps": 1,
            "max_steps": 4,
            "validate_steps": 2,
            "validation_count": 2,
            **on_cpu,
        },
        "panoptic": {
            "images": str(folder / "scenes" / "images"),
            "annotations": str(folder / "scenes" / "truth.json"),
            "model": "tiny",
            "size": 64,
            "epochs": 0,
            "max_steps": 2,
            "validate_steps": 2,
            "validation_count": 2,
            **on_cpu,
            "output_dir": str(folder / "panoptic"),
        },
    }
    program = folder / "program.py"
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", "2"]  # what `accelerate launch` calls
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*launch, str(program), str(folder), json.dumps(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def _state(folder: Path) -> dict[str, Any]:
    path = RunFiles(folder).latest
    assert path is not None
    return dict(torch.load(path, weights_only=True))


@pytest.mark.parametrize("program", ["loop", "diffdis", "diffegg", "panoptic"])
def test_both_processes_end_with_the_same_weights(program: str, ended: Path) -> None:
    first, second = (torch.load(ended / f"{program}{i}.end", weights_only=True) for i in (0, 1))
    assert first.keys() == second.keys()
    for name, value in first.items():
        # statistics of BatchNorm are each process's own
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, second[name]), name


def test_resuming_is_exact_and_the_learning_rate_decays(ended: Path) -> None:
    whole, parts = _state(ended / "whole"), _state(ended / "parts")
    for name, value in whole["model"].items():
        assert torch.equal(value, parts["model"][name]), name
        average = whole["average"]["values"][name]
        assert torch.equal(average, parts["average"]["values"][name]), name
    groups = _state(ended / "falling")["optimizer"]["param_groups"]
    assert sorted(group["lr"] for group in groups)[-1] < 10 * RATE / 2


def test_one_process_writes_the_log(ended: Path) -> None:
    for run, steps in (
        ("diffegg", ["0", "2", "4"]),
        ("falling", ["0", "4"]),
        ("panoptic", ["0", "2"]),
    ):
        with (ended / run / "validation.csv").open() as stream:
            assert [row["step"] for row in csv.DictReader(stream)] == steps


def test_pseudo_edges_are_shared_out(
    ended: Path, stage_1: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    folder = ended / "pseudo_edges"
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["processes"], summary["made"], summary["problems"]) == (2, 3, 1)
    assert (folder / "problems.csv").read_text().count("broken.png,") == 1
    make_pseudo_edges(
        PseudoEdgeSettings(pictures=[str(photos)], output_dir=str(tmp_path), **stage_1)
    )
    alone = sorted(tmp_path.glob("*.npz"))
    assert len(alone) == 3
    for file in alone:
        one, other = read_edge(file), read_edge(folder / file.name)
        assert all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))
