"""One training loop for every program, on one process or many (`accelerate launch`).

A step's pictures and noise are functions of its number (`training.loop.sampling`), so a run that
was stopped and resumed ends with the same weights as one that was not. Every process counts its
draws apart, and their gradients are averaged, so replicas stay equal.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from segdemo.datatypes import InputError
from training.loop.average import Average, load_trained_state, trained_state
from training.loop.checkpoints import RunFiles
from training.loop.sampling import Draw, batches, draws
from training.loop.schedules import build_optimizer, rate_factor
from training.loop.signals import sigterm

logger = logging.getLogger(__name__)

Batch = TypeVar("Batch")
Losses = dict[str, torch.Tensor]
"""Named scalar losses of one batch; the loop minimises `loss`, the rest are logged."""

LOG_STEPS = 50
FREE = frozenset(
    "minutes max_steps epochs epoch_steps batch_size accumulation workers device save_minutes "
    "save_steps keep validate_steps tensorboard panels gradient_checkpointing allow_problems "
    "data_dir validation_dir pictures pseudo_edges output_dir cache_latents backbone base_model "
    "start_from edge_size "
    "export_precision push_to_hub".split()
)
"""Settings that may change between two runs into one folder: how long, where, by what means, and
how the result looks at pictures."""
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True)
class LoopSettings:
    """How long, how fast and how safely; shared by all programs."""

    minutes: float = field(
        default=0.0, metadata={"help": "Training time in all, resumes included; 0: no limit."}
    )
    max_steps: int = field(default=1_000_000, metadata={"help": "Stop after this many steps."})
    learning_rate: float = field(default=4e-4, metadata={"help": "Peak rate."})
    schedule: str = field(
        default="cosine",
        metadata={"help": "cosine, constant, or diffdis (falling by epochs)."},
    )
    epoch_steps: int = field(default=0, metadata={"help": "Steps of an epoch, for diffdis."})
    warmup_steps: int = field(default=100, metadata={"help": "Steps of linear warm-up."})
    optimizer: str = field(default="adamw", metadata={"help": "adamw or adam (no weight decay)."})
    accumulation: int = field(
        default=1, metadata={"help": "Batches whose gradients make one step."}
    )
    clip: float = field(default=1.0, metadata={"help": "Largest gradient norm; 0: unlimited."})
    ema_decay: float = field(default=0.998, metadata={"help": "Decay of the averaged weights."})
    precision: str = field(default="bf16", metadata={"help": "fp32, bf16 or fp16."})
    workers: int = field(default=0, metadata={"help": "Processes that prepare batches."})
    save_minutes: float = field(default=3.0, metadata={"help": "Minutes between checkpoints."})
    save_steps: int = field(default=0, metadata={"help": "Steps between checkpoints; 0: by time."})
    keep: int = field(default=2, metadata={"help": "Checkpoints that stay."})
    validate_steps: int = field(default=0, metadata={"help": "Steps between validations; 0: none."})
    tensorboard: bool = field(default=False, metadata={"help": "Log for TensorBoard as well."})
    seed: int = field(default=0, metadata={"help": "Seed of order and noise."})
    init_seed: int = field(
        default=-1, metadata={"help": "Seed of layers that begin untrained; -1: --seed."}
    )

    @property
    def first_seed(self) -> int:
        """What untrained layers are drawn by."""
        return self.seed if self.init_seed < 0 else self.init_seed


@dataclass(frozen=True)
class Task:
    """What is trained, on what, towards what.

    model: its parameters with gradients are trained, its buffers kept. make: a batch of a draw, on
    the CPU, perhaps in a worker. losses: of a batch, on the device; called through accelerate, so
    that gradients are shared. validate: named figures of the averaged model; the first is the one
    that makes a checkpoint the best, higher is better. rate_scale: of a parameter's learning rate,
    by its name. batch_size: pictures of a draw, for the bar's pictures per second; 0: not shown.
    """

    model: nn.Module
    make: Callable[[Draw], Any]
    losses: Callable[[Any, Draw], Losses]
    validate: Callable[[], dict[str, float]] | None = None
    rate_scale: Callable[[str], float] = lambda name: 1.0
    batch_size: int = 0


def train_loop(
    task: Task, run_dir: Path, settings: LoopSettings, device: torch.device | None = None
) -> RunFiles:
    """Train until time or steps run out; the model then has the averaged weights.

    run_dir gets checkpoints and logs; where it holds a checkpoint, training goes on from that.
    SIGTERM saves, then exits. Raises InputError for settings that do not exist and for too little
    memory, FloatingPointError on a loss that is not finite, naming the last good checkpoint.
    """
    accelerator = build_accelerator(settings, device)
    run = _Run(task, RunFiles(run_dir, settings.keep), settings, accelerator)
    with sigterm() as ended, _memory_hint(settings):
        run.resume()
        run.train(ended)
    run.average.keep()
    return run.files


def build_accelerator(settings: LoopSettings, device: torch.device | None = None) -> Accelerator:
    """Return accelerate's view of the machine; raises InputError for another precision."""
    if settings.precision not in PRECISIONS:
        raise InputError(f"Precision {settings.precision!r}: choose fp32, bf16 or fp16.")
    cpu = device is not None and device.type == "cpu"
    if settings.precision == "fp16" and (cpu or not torch.cuda.is_available()):
        raise InputError("fp16 needs a graphics card: choose bf16 or fp32.")
    return Accelerator(
        mixed_precision=PRECISIONS[settings.precision],
        cpu=cpu,
        gradient_accumulation_steps=settings.accumulation,
    )


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context that computes in bfloat16 where `precision` is "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


class _Step(nn.Module):
    """The losses as a module's forward: so several processes share the gradients of any model."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._losses = task.losses

    def forward(self, batch: Any, draw: Draw) -> Losses:
        return self._losses(batch, draw)


class _Run:
    """A run under way."""

    def __init__(
        self, task: Task, files: RunFiles, settings: LoopSettings, accelerator: Accelerator
    ) -> None:
        self.task, self.files, self.settings, self.accelerator = task, files, settings, accelerator
        task.model.to(accelerator.device).train()
        self.scales, groups = _groups(task)
        self.average = Average(task.model, settings.ema_decay)
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        self.validated = -1  # the step of the last validation
        self.module, self.optimizer = accelerator.prepare(
            _Step(task), build_optimizer(settings.optimizer, groups, settings.learning_rate)
        )
        self.recent: list[dict[str, float]] = []
        self.tracker = _tracker(settings, files.folder) if accelerator.is_main_process else None

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        path = self.files.latest
        if path is None:
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self._check_settings(state.get("settings", {}), path)
            load_trained_state(self.task.model, state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"{path} does not fit these settings ({error}): give the settings it was begun "
                "with, or another output folder."
            ) from error
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.validated = state.get("validated", -1)
        if self.accelerator.is_main_process:
            self.files.rewind(self.step)
        self.accelerator.wait_for_everyone()
        logger.info("resumed at step %d after %.1f min", self.step, self.seconds / 60)

    def _check_settings(self, begun: dict[str, Any], path: Path) -> None:
        now = asdict(self.settings)
        for name in sorted((begun.keys() & now) - FREE):
            if begun[name] != now[name]:
                raise InputError(
                    f"{path} was made with --{name} {begun[name]}, now it is {now[name]}: give "
                    "what the run began with, or another output folder."
                )

    def train(self, ended: Callable[[], bool]) -> None:
        """Train to the end, or until told to stop: then save and leave."""
        settings, accelerator = self.settings, self.accelerator
        wanted = draws(
            self.step,
            settings.accumulation,
            accelerator.process_index,
            accelerator.num_processes,
            settings.seed,
        )
        supply = batches(self.task.make, wanted, settings.workers)
        saved = self.seconds
        bar = tqdm(
            initial=self.step,
            total=settings.max_steps if settings.max_steps < 1_000_000 else None,
            unit="step",
            disable=not accelerator.is_main_process,
        )
        clock = time.monotonic()
        while (progress := self._progress()) < 1:
            rate = self._rate(progress)
            for group, scale in zip(self.optimizer.param_groups, self.scales, strict=True):
                group["lr"] = rate * scale
            self._one_step(supply)
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            stop = self._agree(ended())
            bar.update()
            bar.set_postfix_str(self._pace(bar.format_dict["rate"]), refresh=False)
            if len(self.recent) == LOG_STEPS:
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
                logger.info("stopped at step %d; the same command goes on from there", self.step)
                raise SystemExit(0)
        bar.close()
        if self.recent:
            self._log(rate)
        self.save(self.validated != self.step and self._validate())

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
                "settings": asdict(self.settings),
            }
            self.files.save(state, self.step, best)
        self.accelerator.wait_for_everyone()

    def _one_step(self, supply: Iterator[tuple[Draw, Any]]) -> None:
        parts: list[dict[str, float]] = []
        for _ in range(self.settings.accumulation):
            draw, batch = next(supply)
            torch.manual_seed(draw.torch_seed)
            with self.accelerator.accumulate(self.module):
                with self.accelerator.autocast():
                    losses: Losses = self.module(batch, draw)
                if not self._agree(bool(torch.isfinite(losses["loss"])), every=True):
                    raise FloatingPointError(
                        f"loss is not finite at step {self.step}; last good checkpoint: "
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

    def _rate(self, progress: float) -> float:
        settings = self.settings
        warmup, epoch = settings.warmup_steps, settings.epoch_steps
        factor = rate_factor(settings.schedule, self.step, progress, warmup, epoch)
        return settings.learning_rate * factor

    def _pace(self, steps_a_second: float | None) -> str:
        settings, processes = self.settings, self.accelerator.num_processes
        pictures = self.task.batch_size * settings.accumulation * processes
        return f"{pictures * (steps_a_second or 0):.1f} pictures/s" if pictures else ""

    def _progress(self) -> float:
        """Return how much of the run is over; the main process's clock counts for all."""
        if not self.settings.minutes:
            return self.step / self.settings.max_steps
        seconds = torch.tensor([self.seconds], device=self.accelerator.device)
        if self.accelerator.num_processes > 1:
            torch.distributed.broadcast(seconds, 0)
        share = float(seconds) / (60 * self.settings.minutes)
        return max(self.step / self.settings.max_steps, share)

    def _agree(self, flag: bool, every: bool = False) -> bool:
        """Return whether any process says so, or all of them (`every`)."""
        if self.accelerator.num_processes == 1:
            return flag
        votes = self.accelerator.reduce(
            torch.tensor([float(flag)], device=self.accelerator.device), "sum"
        )
        return float(votes) == self.accelerator.num_processes if every else float(votes) > 0

    def _validate(self) -> bool:
        """Measure the averaged model; returns whether it is the best so far."""
        if self.task.validate is None:
            return False
        self.validated = self.step
        self.task.model.eval()
        with self.average.applied(), torch.no_grad():
            figures = self.task.validate()
        self.task.model.train()
        first = next(iter(figures.values()))
        better, self.best = first > self.best, max(first, self.best)
        self._write({"step": self.step, **figures}, "validation")
        return better

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
        if self.tracker is not None:
            for key, value in row.items():
                self.tracker.add_scalar(f"{name}/{key}", value, int(row["step"]))


def _groups(task: Task) -> tuple[list[float], list[dict[str, Any]]]:
    """Group trained parameters by the scale of their rate."""
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in task.model.named_parameters():
        if parameter.requires_grad:
            by_scale.setdefault(task.rate_scale(name), []).append(parameter)
    return list(by_scale), [{"params": parameters} for parameters in by_scale.values()]


def _tracker(settings: LoopSettings, folder: Path) -> Any:
    if not settings.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--tensorboard needs it installed: pip install tensorboard.") from error
    return SummaryWriter(str(folder / "tensorboard"))


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
