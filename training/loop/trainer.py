"""One training loop for every program, on one process or many (`accelerate launch`).

A step's items and noise are functions of its number (`training.loop.sampling`), so a run that was
stopped and resumed ends with the same weights as one that was not. Every process has batches of its
own and their gradients are averaged, so the processes' weights stay equal.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from segdemo.datatypes import InputError
from training.loop.average import WeightAverage, load_trained_state, trained_state
from training.loop.checkpoints import RunFiles
from training.loop.curves import draw_curves
from training.loop.display import Display
from training.loop.sampling import BatchIndex, batch_indices, make_batches
from training.loop.schedules import build_optimizer, learning_rate_factor
from training.loop.settings import TRACKERS, LoopSettings, check_resumed, write_settings
from training.loop.signals import catch_sigterm

logger = logging.getLogger(__name__)

Batch = TypeVar("Batch")
Losses = dict[str, torch.Tensor]
"""Named scalar losses of one batch; the loop minimises `loss`, the rest are logged."""

MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
"""Our names of number formats, and accelerate's."""

TRACKED_PROJECT = "segdemo"

DAMAGED = (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError)
"""What reading a file that is no complete checkpoint raises."""


@dataclass(frozen=True)
class Task:
    """A model, its data and its losses.

    model: its parameters with gradients are trained, its buffers kept. make: makes a batch, on the
    CPU, perhaps in a worker process. losses: of a batch, on the device; called through accelerate,
    so that gradients are averaged. validate: metrics of the averaged model; the first one decides
    which checkpoint is the best, unless settings name another. lower_is_better: metrics of which
    that is true. rate_scale: factor of a parameter's learning rate, by its name. batch_size: images
    of a batch, for the progress bar; 0: not shown.
    """

    model: nn.Module
    make: Callable[[BatchIndex], Any]
    losses: Callable[[Any, BatchIndex], Losses]
    validate: Callable[[], dict[str, float]] | None = None
    rate_scale: Callable[[str], float] = lambda name: 1.0
    batch_size: int = 0
    lower_is_better: frozenset[str] = frozenset(("loss", "mae"))


def train_loop(
    task: Task, run_dir: Path, settings: LoopSettings, device: torch.device | None = None
) -> RunFiles:
    """Train until time or steps run out; the model then has the averaged weights.

    run_dir gets checkpoints, logs, `settings.yaml` and `curves.png`; where it holds a checkpoint,
    training continues from it. SIGTERM saves, then exits. Raises InputError for a checkpoint of
    other settings and for too little memory, FloatingPointError for a loss that is not finite,
    naming the last checkpoint.
    """
    accelerator = build_accelerator(settings, device, run_dir)
    run = _Run(task, RunFiles(run_dir, settings.keep), settings, accelerator)
    with catch_sigterm() as stop_requested, _memory_hint(settings):
        run.resume()
        try:
            run.train(stop_requested)
        finally:
            run.close()
    run.average.apply()
    return run.files


def build_accelerator(
    settings: LoopSettings, device: torch.device | None = None, run_dir: Path | None = None
) -> Accelerator:
    """Return accelerate's view of the machine; raises InputError for what is not there.

    run_dir: where trackers write, for the one that a run logs with.
    """
    cpu = device is not None and device.type == "cpu"
    if settings.precision == "fp16" and (cpu or not torch.cuda.is_available()):
        raise InputError("--precision fp16 needs a CUDA GPU: choose bf16 or fp32.")
    for tracker in settings.report_to:
        if tracker not in TRACKERS:
            raise InputError(f"--report_to {tracker}: choose from {', '.join(TRACKERS)}.")
        if importlib.util.find_spec(tracker) is None:
            raise InputError(
                f"--report_to {tracker} needs it installed: .venv/bin/pip install {tracker}."
            )
    return Accelerator(
        mixed_precision=MIXED_PRECISION[settings.precision],
        cpu=cpu,
        gradient_accumulation_steps=settings.accumulation,
        log_with=settings.report_to if run_dir and settings.report_to else None,
        project_dir=run_dir,
    )


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context that computes in bfloat16 where `precision` is "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


class _Step(nn.Module):
    """The losses as a module's forward, so that several processes average any model's gradients."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._losses = task.losses

    def forward(self, batch: Any, index: BatchIndex) -> Losses:
        return self._losses(batch, index)


class _Run:
    """The state of a run, and its steps."""

    def __init__(
        self, task: Task, files: RunFiles, settings: LoopSettings, accelerator: Accelerator
    ) -> None:
        self.task, self.files, self.settings, self.accelerator = task, files, settings, accelerator
        task.model.to(accelerator.device).train()
        self.scales, groups = _groups(task)
        self.average = WeightAverage(task.model, settings.ema_decay)
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        self.validated, self.best_step = -1, 0  # steps of the last validation and of the best one
        self.module, self.optimizer = accelerator.prepare(
            _Step(task), build_optimizer(settings.optimizer, groups, settings.learning_rate)
        )
        self.recent: list[dict[str, float]] = []  # losses of the steps that are not logged yet
        accelerator.init_trackers(TRACKED_PROJECT, _plain(settings))

    def resume(self) -> None:
        """Continue from the last checkpoint that is whole, if there is one."""
        path, state = self._last_checkpoint()
        if path is not None:
            self._restore(path, state)
        if self.accelerator.is_main_process:
            write_settings(self.settings, self.files.folder)

    def _last_checkpoint(self) -> tuple[Path | None, dict[str, Any]]:
        paths = self.files.checkpoints()
        for path in reversed(paths):
            try:
                return path, torch.load(path, map_location="cpu", weights_only=True)
            except DAMAGED as error:
                reason = f"{path} is damaged ({str(error).partition(chr(10))[0]})"
                logger.warning("%s: trying the checkpoint before it", reason)
        if paths:
            raise InputError(
                f"{reason}, and so are those before it: delete them to start again, or give "
                "another --output_dir."
            )
        return None, {}

    def _restore(self, path: Path, state: dict[str, Any]) -> None:
        try:
            earlier = self.settings.present(state.get("settings", {}))
            check_resumed(earlier, self.settings.fixed(), str(path))
            load_trained_state(self.task.model, state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"{path} does not fit these settings ({error}): give the settings that the run was "
                "started with, or another --output_dir."
            ) from error
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.validated = state.get("validated", -1)
        self.best_step, self.recent = state.get("best_step", self.step), state.get("recent", [])
        if self.accelerator.is_main_process:
            self.files.rewind(self.step)
        self.accelerator.wait_for_everyone()
        logger.info("resumed at step %d after %.1f min", self.step, self.seconds / 60)

    def train(self, stop_requested: Callable[[], bool]) -> None:
        """Train to the end, or until told to stop: then save and exit."""
        settings, accelerator = self.settings, self.accelerator
        indices = batch_indices(
            self.step,
            settings.accumulation,
            accelerator.process_index,
            accelerator.num_processes,
            settings.seed,
        )
        batches = make_batches(self.task.make, indices, settings.workers)
        if self.step == 0 and self.validated < 0 and self._validate():
            self.save(best=True)  # so that a run that only gets worse says so
        saved = self.seconds
        images = self.task.batch_size * settings.accumulation * accelerator.num_processes
        display = Display(self.step, images, accelerator.is_main_process)
        clock = time.monotonic()
        while (progress := self._progress()) < 1 and not self._is_stale():
            rate = self._learning_rate(progress)
            for group, scale in zip(self.optimizer.param_groups, self.scales, strict=True):
                group["lr"] = rate * scale
            self._one_step(batches)
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            stop = self._any(stop_requested())
            display.update(self.step, self._progress())
            if self.step % settings.log_steps == 0:
                self._log(rate)
            validated = bool(settings.validate_steps and self.step % settings.validate_steps == 0)
            better = validated and self._validate()
            due = self.seconds - saved > 60 * settings.save_minutes
            if settings.save_steps:
                due = self.step % settings.save_steps == 0
            if due or better or stop:
                self.save(better)
                saved = self.seconds
            if stop:
                logger.info("stopped at step %d; the same command resumes", self.step)
                raise SystemExit(0)
        display.close(self.step)
        if self._is_stale():
            logger.info("stopped early: no better validation since step %d", self.best_step)
        if 0 < self.step < 2 * settings.warmup_steps:
            logger.warning(
                "%d of %d steps were warm-up, whose learning rate is below its peak: train longer, "
                "or give fewer --warmup_steps",
                min(self.step, settings.warmup_steps),
                self.step,
            )
        if self.recent:
            self._log(rate)
        self.save(self.validated != self.step and self._validate())

    def close(self) -> None:
        """Draw the curves and finish the trackers."""
        if self.accelerator.is_main_process:
            draw_curves(self.files.folder)
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def save(self, best: bool = False) -> None:
        """Write a checkpoint; the main process does, the others wait."""
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "model": trained_state(self.task.model),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
                "step": self.step,
                "seconds": self.seconds,
                "best": self.best,
                "validated": self.validated,
                "best_step": self.best_step,
                "recent": self.recent,
                "settings": self.settings.fixed(),
            }
            self.files.save(state, self.step, best)
        self.accelerator.wait_for_everyone()

    def _one_step(self, batches: Iterator[tuple[BatchIndex, Any]]) -> None:
        parts: list[dict[str, float]] = []
        for _ in range(self.settings.accumulation):
            index, batch = next(batches)
            torch.manual_seed(index.torch_seed)
            with self.accelerator.accumulate(self.module):
                with self.accelerator.autocast():
                    losses: Losses = self.module(batch, index)
                if self._any(not torch.isfinite(losses["loss"])):
                    raise FloatingPointError(
                        f"loss is not finite at step {self.step}; last checkpoint: "
                        f"{self.files.latest or 'none yet'}"
                    )
                self.accelerator.backward(losses["loss"])
                if self.settings.clip and self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.module.parameters(), self.settings.clip)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            parts.append({name: float(value.detach()) for name, value in losses.items()})
        self.average.update()
        self.step += 1
        self.recent.append({name: sum(p[name] for p in parts) / len(parts) for name in parts[0]})

    def _learning_rate(self, progress: float) -> float:
        settings = self.settings
        warmup, epoch = settings.warmup_steps, settings.epoch_steps
        factor = learning_rate_factor(settings.schedule, self.step, progress, warmup, epoch)
        return settings.learning_rate * factor

    def _progress(self) -> float:
        """Return the share of the run that is done; the main process's clock counts for all."""
        if not self.settings.minutes:
            return self.step / self.settings.max_steps
        seconds = torch.tensor([self.seconds], device=self.accelerator.device)
        if self.accelerator.num_processes > 1:
            torch.distributed.broadcast(seconds, 0)
        share = float(seconds) / (60 * self.settings.minutes)
        return max(self.step / self.settings.max_steps, share)

    def _any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        if self.accelerator.num_processes == 1:
            return flag
        flags = torch.tensor([float(flag)], device=self.accelerator.device)
        return float(self.accelerator.reduce(flags, "sum")) > 0

    def _validate(self) -> bool:
        """Validate the averaged model; returns whether it is the best so far."""
        if self.task.validate is None:
            return False
        self.validated = self.step
        self.task.model.eval()
        with self.average.applied(), torch.no_grad():
            metrics = self.task.validate()
        self.task.model.train()
        score = self._score(metrics)
        better = score > self.best
        if better:
            self.best, self.best_step = score, self.step
        self._write({"step": self.step, **metrics}, "validation")
        return better

    def _score(self, metrics: dict[str, float]) -> float:
        """Return the metric that decides what is best, higher being better."""
        name = self.settings.best_metric or next(iter(metrics))
        if name not in metrics:
            raise InputError(f"--best_metric {name}: choose one of {', '.join(metrics)}.")
        return -metrics[name] if name in self.task.lower_is_better else metrics[name]

    def _is_stale(self) -> bool:
        """Return whether validations have not become better for as many as `patience` says."""
        settings = self.settings
        waited = self.validated - self.best_step
        return 0 < settings.patience * settings.validate_steps <= waited

    def _log(self, rate: float) -> None:
        row = {"step": self.step, "minutes": round(self.seconds / 60, 2), "rate": rate}
        count = len(self.recent)
        row |= {name: sum(r[name] for r in self.recent) / count for name in self.recent[0]}
        self.recent = []
        self._write(row, "log")

    def _write(self, row: dict[str, float], name: str) -> None:
        if not self.accelerator.is_main_process:
            return
        self.files.log(row, name)
        logger.info("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
        values = {f"{name}/{key}": value for key, value in row.items() if key != "step"}
        self.accelerator.log(values, step=int(row["step"]))


def _groups(task: Task) -> tuple[list[float], list[dict[str, Any]]]:
    """Group trained parameters by the scale of their learning rate; returns the scales, too."""
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in task.model.named_parameters():
        if parameter.requires_grad:
            by_scale.setdefault(task.rate_scale(name), []).append(parameter)
    return list(by_scale), [{"params": parameters} for parameters in by_scale.values()]


def _plain(settings: LoopSettings) -> dict[str, Any]:
    """Return settings as trackers take them: numbers and texts."""
    return {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in asdict(settings).items()
    }


@contextmanager
def _memory_hint(settings: LoopSettings) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        saving = getattr(settings, "gradient_checkpointing", None) is False
        raise InputError(
            "The device's memory is too small: halve --batch_size and double --accumulation "
            f"(now {settings.accumulation}), {'give --gradient_checkpointing, ' * saving}choose "
            "--precision bf16, or a smaller size."
        ) from error
