"""The training loop: exact resume, one or more processes, and ways to stop."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segdemo.datatypes import InputError
from training.loop.average import trained_state
from training.loop.checkpoints import RunFiles, read_rows
from training.loop.sampling import BatchIndex, batch_indices, make_batches
from training.loop.schedules import learning_rate_factor
from training.loop.settings import LoopSettings
from training.loop.trainer import Losses, Task, train_loop

OLD_RUN = Path(__file__).parents[2] / "fixtures" / "old_run"
CPU = torch.device("cpu")
SETTINGS = LoopSettings(max_steps=20, warmup_steps=2, precision="fp32", learning_rate=1e-2)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))


def make(draw: BatchIndex) -> torch.Tensor:
    return torch.from_numpy(draw.rng.standard_normal((8, 4), np.float32))


def task(model: nn.Module, **changes: Any) -> Task:
    def losses(batch: torch.Tensor, draw: BatchIndex) -> Losses:
        return {"loss": (model(batch) - batch.sum(1, keepdim=True)).square().mean()}

    return Task(model, changes.pop("make", make), changes.pop("losses", losses), **changes)


def same(first: nn.Module, second: nn.Module) -> bool:
    own, other = trained_state(first), trained_state(second)
    return all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_ten_steps_and_a_resume_and_ten_more_are_twenty_bit_for_bit(
    accumulation: int, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, accumulation=accumulation, save_steps=10)
    whole, parts, again = network(), network(), network()
    train_loop(task(whole), tmp_path / "whole", settings, CPU)

    def killed(draw: BatchIndex) -> torch.Tensor:
        if draw.step == 13:
            raise KeyboardInterrupt
        return make(draw)

    with pytest.raises(KeyboardInterrupt):
        train_loop(task(parts, make=killed), tmp_path / "parts", settings, CPU)
    train_loop(task(again), tmp_path / "parts", settings, CPU)
    assert same(again, whole)


def test_sigterm_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    whole, first, second = network(), network(), network()
    train_loop(task(whole), tmp_path / "whole", SETTINGS, CPU)

    def told_to_stop(draw: BatchIndex) -> torch.Tensor:
        if draw.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return make(draw)

    with pytest.raises(SystemExit) as ended:
        train_loop(task(first, make=told_to_stop), tmp_path / "parts", SETTINGS, CPU)
    assert ended.value.code == 0
    assert RunFiles(tmp_path / "parts").latest.name == "step_0000008.pt"
    train_loop(task(second), tmp_path / "parts", SETTINGS, CPU)
    assert same(second, whole)


def test_a_killed_run_that_goes_on_has_the_log_of_one_that_was_not(tmp_path: Path) -> None:
    settings = replace(SETTINGS, max_steps=120, save_steps=40, validate_steps=20, log_steps=30)

    def killed(draw: BatchIndex) -> torch.Tensor:
        if draw.step == 70:
            raise KeyboardInterrupt
        return make(draw)

    def figures() -> dict[str, float]:
        return {"score": 1.0}  # the first stays the best: later ones save nothing

    train_loop(task(network(), validate=figures), tmp_path / "whole", settings, CPU)
    with pytest.raises(KeyboardInterrupt):
        train_loop(task(network(), make=killed, validate=figures), tmp_path / "run", settings, CPU)
    for _ in range(2):  # the second finds it finished
        train_loop(task(network(), validate=figures), tmp_path / "run", settings, CPU)
    for name in ("validation.csv", "validation.jsonl"):
        assert (tmp_path / "run" / name).read_text() == (tmp_path / "whole" / name).read_text()
    whole, run = (read_rows(tmp_path / name, "log") for name in ("whole", "run"))
    assert [row["step"] for row in run] == [30, 60, 90, 120]
    assert [row["loss"] for row in run] == [row["loss"] for row in whole]
    assert Image.open(tmp_path / "run" / "curves.png").width > 600


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(SETTINGS, save_steps=4, max_steps=8)
    whole, resumed = network(), network()
    train_loop(task(whole), tmp_path, settings, CPU)
    last, before = tmp_path / "step_0000008.pt", tmp_path / "step_0000004.pt"
    last.write_bytes(last.read_bytes()[:1000])
    train_loop(task(resumed), tmp_path, settings, CPU)
    assert "step_0000008.pt is damaged" in caplog.text and same(resumed, whole)
    last.write_bytes(b"")
    before.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"step_0000004.pt is damaged .* delete them"):
        train_loop(task(network()), tmp_path, settings, CPU)


def test_the_best_metric_can_be_chosen_and_training_stops_when_it_stays(tmp_path: Path) -> None:
    figures = iter([(0.1, 9.0), (0.2, 5.0), (0.3, 6.0), (0.4, 7.0), (0.5, 8.0)])

    def validate() -> dict[str, float]:
        return dict(zip(("score", "mae"), next(figures), strict=True))

    settings = replace(SETTINGS, validate_steps=4, best_metric="mae", patience=2)
    files = train_loop(task(network(), validate=validate), tmp_path, settings, CPU)
    assert torch.load(files.best, weights_only=True)["step"] == 4
    assert [row["step"] for row in read_rows(tmp_path)] == [0, 4, 8, 12]
    wrong = replace(settings, best_metric="iou")
    with pytest.raises(InputError, match="choose one of score"):
        train_loop(task(network(), validate=lambda: {"score": 1.0}), tmp_path / "b", wrong, CPU)


def test_trackers_get_losses_and_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = replace(SETTINGS, report_to=["tensorboard"], log_steps=10)
    train_loop(task(network(), validate=lambda: {"score": 1.0}), tmp_path, settings, CPU)
    events = EventAccumulator(str(next(tmp_path.rglob("events.out*")).parent)).Reload()
    assert [event.step for event in events.Scalars("log/loss")] == [10, 20]
    assert "validation/score" in events.Tags()["scalars"]


def test_weights_and_biases_logs_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    settings = replace(SETTINGS, report_to=["wandb"], log_steps=10)
    train_loop(task(network(), validate=lambda: {"score": 1.0}), tmp_path / "run", settings, CPU)
    (written,) = tmp_path.rglob("run-*.wandb")
    content = written.read_bytes()
    assert b"log/loss" in content and b"validation/score" in content


def test_too_little_memory_says_what_helps(tmp_path: Path) -> None:
    def losses(batch: torch.Tensor, draw: BatchIndex) -> Losses:
        raise torch.OutOfMemoryError("none left")

    with pytest.raises(InputError, match=r"halve --batch_size .* --precision bf16"):
        train_loop(task(network(), losses=losses), tmp_path, SETTINGS, CPU)


def test_a_file_gets_lines_with_images_per_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        train_loop(task(network(), batch_size=8), tmp_path, SETTINGS, CPU)
    assert re.search(r"step 20 of 20, [\d.]+ images/s", caplog.text)
    assert "20 of 20 steps were warm-up" not in caplog.text
    with caplog.at_level("WARNING"):
        train_loop(task(network()), tmp_path / "short", replace(SETTINGS, max_steps=3), CPU)
    assert "2 of 3 steps were warm-up" in caplog.text


def test_the_loss_falls_and_is_logged(tmp_path: Path) -> None:
    settings = replace(SETTINGS, max_steps=200)
    train_loop(task(network()), tmp_path, settings, CPU)
    with (tmp_path / "log.csv").open() as handle:
        losses = [float(row["loss"]) for row in csv.DictReader(handle)]
    assert len(losses) == 4 and losses[-1] < 0.5 * losses[0]


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_last_state(tmp_path: Path) -> None:
    model = network()

    def losses(batch: torch.Tensor, draw: BatchIndex) -> Losses:
        factor = float("nan") if draw.step == 5 else 1.0
        return {"loss": model(batch).square().mean() * factor}

    settings = replace(SETTINGS, save_steps=2)
    with pytest.raises(FloatingPointError, match=r"step 5; last checkpoint: .*step_0000004"):
        train_loop(task(model, losses=losses), tmp_path, settings, CPU)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train_loop(task(network()), tmp_path, replace(SETTINGS, max_steps=2), CPU)
    other = nn.Linear(4, 1)
    with pytest.raises(InputError, match="does not fit these settings"):
        train_loop(task(other), tmp_path, SETTINGS, CPU)


def test_a_run_does_not_go_on_with_other_settings_unless_they_change_nothing(
    tmp_path: Path,
) -> None:
    train_loop(task(network()), tmp_path, replace(SETTINGS, max_steps=2), CPU)
    with pytest.raises(
        InputError, match=r"other settings \(--learning_rate 0.01, now 0.1\): give the same"
    ):
        train_loop(task(network()), tmp_path, replace(SETTINGS, learning_rate=0.1), CPU)
    train_loop(task(network()), tmp_path, replace(SETTINGS, max_steps=4, keep=1), CPU)
    assert torch.load(RunFiles(tmp_path).latest, weights_only=True)["step"] == 4


def test_a_run_of_an_earlier_version_resumes_as_if_it_were_of_this_one(tmp_path: Path) -> None:
    """The stored run gives the form; its numbers are another processor's, whose dropout differs."""
    settings = replace(SETTINGS, max_steps=12, schedule="constant", validate_steps=6)
    whole, resumed = network(), network()
    train_loop(task(whole), tmp_path / "whole", replace(settings, save_steps=6), CPU)
    shutil.copytree(OLD_RUN, tmp_path / "old")
    checkpoint = tmp_path / "old" / "step_0000006.pt"
    old, new = (
        torch.load(file, weights_only=True)
        for file in (checkpoint, tmp_path / "whole" / checkpoint.name)
    )
    weights = {
        part: with_values_of(new[part], old[part]) for part in ("model", "average", "optimizer")
    }
    torch.save(old | weights, checkpoint)
    train_loop(task(resumed), tmp_path / "old", settings, CPU)
    assert same(resumed, whole)
    with (tmp_path / "old" / "log.csv").open() as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == ["6", "12"]


def with_values_of(new: Any, old: Any) -> Any:
    """Return `old` with the tensors of `new` in their places."""
    if isinstance(old, dict):
        return {key: with_values_of(new[key], value) for key, value in old.items()}
    if isinstance(old, torch.Tensor):
        assert old.shape == new.shape and old.dtype == new.dtype
        return new
    return old


def test_only_the_last_checkpoints_stay_beside_the_best(tmp_path: Path) -> None:
    figures = iter([0.1, 0.2, 0.9, 0.4, 0.3, 0.1])

    def validate() -> dict[str, float]:
        return {"score": next(figures)}

    settings = replace(SETTINGS, save_steps=4, validate_steps=4, keep=2, max_steps=16)
    files = train_loop(task(network(), validate=validate), tmp_path, settings, CPU)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "best.pt",
        "step_0000012.pt",
        "step_0000016.pt",
    ]
    assert torch.load(files.best, weights_only=True)["step"] == 8
    with (tmp_path / "validation.csv").open() as handle:
        scores = [row["score"] for row in csv.DictReader(handle)]
    assert scores == ["0.1", "0.2", "0.9", "0.4", "0.3"], "before the first step, then once each"


def test_the_model_ends_with_the_average_which_is_not_its_untrained_start(tmp_path: Path) -> None:
    model = nn.Linear(4, 1)
    start = model.weight.detach().clone()
    train_loop(task(model), tmp_path, SETTINGS, CPU)
    state = torch.load(RunFiles(tmp_path).latest, weights_only=True)
    assert torch.equal(model.weight, state["average"]["values"]["weight"])
    last = state["model"]["weight"]
    assert 0 < (model.weight - last).norm() < (model.weight - start).norm()


def test_frozen_layers_stay_and_are_not_saved(tmp_path: Path) -> None:
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    train_loop(task(model), tmp_path, SETTINGS, CPU)
    assert torch.equal(model[0].weight, before)
    assert "0.weight" not in torch.load(RunFiles(tmp_path).latest, weights_only=True)["model"]


def test_a_parameters_rate_can_be_scaled(tmp_path: Path) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.named_parameters()}
    scaled = task(model, rate_scale=lambda name: 0.0 if name.startswith("3.") else 1.0)
    train_loop(scaled, tmp_path, SETTINGS, CPU)
    after = dict(model.named_parameters())
    assert torch.equal(after["3.weight"], before["3.weight"])
    assert not torch.equal(after["0.weight"], before["0.weight"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"precision": "fp8"}, "choose one of fp32"),
        ({"precision": "fp16"}, "needs a CUDA GPU"),
        ({"schedule": "square"}, "choose one of cosine"),
        ({"optimizer": "sgd"}, "choose one of adamw"),
        ({"learning_rate": -1}, "learning_rate -1 is outside"),
        ({"ema_decay": 2}, "ema_decay 2 is outside 0 to 1"),
        ({"max_steps": 0}, "max_steps 0: choose 1 or more"),
        ({"minutes": float("nan")}, "minutes nan"),
        ({"report_to": ["mlflow"]}, "choose from tensorboard, wandb"),
        pytest.param(
            {"report_to": ["wandb"]},
            "install wandb",
            marks=pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed"),
        ),
    ],
)
def test_wrong_settings_are_one_sentence(
    wrong: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        train_loop(task(network()), tmp_path, replace(SETTINGS, **wrong), CPU)


def test_the_diffdis_schedule_compounds() -> None:
    def factor(epoch: int) -> float:
        return learning_rate_factor("diffdis", epoch * 10, 0, 0, 10)

    assert factor(29) == 1
    assert factor(60) == pytest.approx(0.95**30 * 0.95**2)
    assert factor(89) == pytest.approx(0.0099, rel=1e-2)


def test_each_item_comes_once_an_epoch_whoever_draws() -> None:
    def drawn(process: int) -> list[int]:
        supply = batch_indices(0, 2, process, 2, 7)
        return [int(item) for _ in range(3) for item in next(supply).items(24, 2)]

    assert sorted(drawn(0) + drawn(1)) == list(set(drawn(0) + drawn(1)))
    whole = [i for process in (0, 1) for i in drawn(process)]
    assert len(whole) == 12 and set(whole) <= set(range(24))
    second = list(BatchIndex(0, 0, 0, 12, 7).items(24, 2))
    assert second != list(BatchIndex(0, 0, 0, 0, 7).items(24, 2)), "another epoch, another order"


def test_workers_make_the_same_batches() -> None:
    def taken(workers: int) -> list[torch.Tensor]:
        supply = make_batches(make, batch_indices(3, 1, 0, 1, 0), workers)
        return [next(supply)[1] for _ in range(3)]

    for here, there in zip(taken(0), taken(1), strict=True):
        assert torch.equal(here, there)
