"""The recipe's training stages: they learn, resume exactly, and run on two processes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from segdemo.checkpoints.registry import ASSETS
from training.small.train import SmallSettings, train

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _own_precision() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def few(material_dir: Path, tmp_path: Path) -> SmallSettings:
    return SmallSettings(
        material_dir=str(material_dir),
        output_dir=str(tmp_path / "run"),
        start_from=str(ASSETS / "small"),
        stages=["scenes", "latents", "diffdis"],
        scene_count=4,
        image_size=64,
        batch_size=2,
        max_steps=4,
        precision="fp32",
        device="cpu",
        pixel_weight=1.0,
        picture_noise=0.1,
    )


def _trained(settings: SmallSettings) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for file in sorted((Path(settings.output_dir) / "unet").glob("*.safetensors")):
        weights |= load_file(file)
    return weights


def test_the_prior_learns(few: SmallSettings, tmp_path: Path) -> None:
    shutil.copytree(ASSETS / "small" / "vae", tmp_path / "begun" / "vae")
    stages = ["scenes", "latents", "prior"]
    train(replace(few, start_from=str(tmp_path / "begun"), stages=stages, max_steps=70))
    with (Path(few.output_dir) / "prior_run" / "log.csv").open() as handle:
        first, last = csv.DictReader(handle)
    assert float(last["loss"]) < 0.9 * float(first["loss"])


def test_a_stopped_stage_goes_on_exactly(few: SmallSettings, tmp_path: Path) -> None:
    train(few)
    halves = replace(few, output_dir=str(tmp_path / "halves"))
    # the rate falls with the share of the steps that are done, so both halves know of all
    script = tmp_path / "half.py"
    script.write_text(
        "import os, signal\n"
        "from training import small\n"
        "from training.small.train import SmallSettings, train\n"
        "loss, calls = small.diffdis_losses, []\n"
        "def counted(*given, **named):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return loss(*given, **named)\n"
        "small.diffdis_losses = counted\n"
        f"train({halves!r})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script)], env=environment, check=True)
    assert len(list((Path(halves.output_dir) / "diffdis_run").glob("step_*2.pt"))) == 1
    train(halves)
    whole, resumed = _trained(few), _trained(halves)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_two_processes_train_one_model(few: SmallSettings, tmp_path: Path) -> None:
    few = replace(few, max_steps=2)
    script = tmp_path / "two.py"
    script.write_text(
        f"import sys\nfrom training.small.train import SmallSettings, train\ntrain({few!r})\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, "--nproc_per_node", "2", str(script)], env=environment, check=True)
    assert _trained(few)
    with (Path(few.output_dir) / "diffdis_run" / "log.csv").open() as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == ["2"]
