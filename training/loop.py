"""One training loop for every program: time budget, exact resume, EMA, a CSV log.

A step's batch and noise are drawn from generators seeded with (seed, step), so a run that was
stopped and resumed sees the same numbers as one that was not.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

logger = logging.getLogger(__name__)

Losses = dict[str, torch.Tensor]
"""Named scalar losses of one step; the loop minimises `loss`, the rest are logged."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast; shared by all stages."""

    minutes: float = field(
        default=30.0, metadata={"help": "Training time in all, resumes included."}
    )
    max_steps: int = field(default=1_000_000, metadata={"help": "Stop after this many steps."})
    learning_rate: float = field(default=4e-4, metadata={"help": "Peak rate of AdamW."})
    warmup_steps: int = field(default=100, metadata={"help": "Steps of linear warm-up."})
    ema_decay: float = field(default=0.998, metadata={"help": "Decay of the averaged weights."})
    precision: str = field(default="bf16", metadata={"help": "fp32 or bf16 (autocast)."})
    save_minutes: float = field(default=3.0, metadata={"help": "Minutes between checkpoints."})
    seed: int = field(default=0, metadata={"help": "Seed of data order and noise."})


def train_loop(
    model: nn.Module,
    losses_of_step: Callable[[int], Losses],
    run_dir: Path,
    settings: LoopSettings,
    device: torch.device,
) -> nn.Module:
    """Train `model` until time or steps run out and return the averaged copy of it.

    `losses_of_step(step)` draws the batch of that step and returns its losses. `run_dir` gets
    `state.pt` (replaced atomically) and `log.csv`; when it holds a state, training goes on from it.
    Raises FloatingPointError on a loss that is not finite, naming the last good checkpoint.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    average = AveragedModel(model, multi_avg_fn=_ema(settings.ema_decay))
    state_file = run_dir / "state.pt"
    step, seconds = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        logger.info("resumed at step %d after %.1f min", step, seconds / 60)

    def save() -> None:
        partial = state_file.with_suffix(".partial")
        torch.save(
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "seconds": seconds,
            },
            partial,
        )
        os.replace(partial, state_file)

    last_time, last_save, recent = time.monotonic(), seconds, []
    while True:
        progress = max(step / settings.max_steps, seconds / (60 * settings.minutes))
        if progress >= 1:
            break
        warmup = min(1.0, (step + 1) / max(1, settings.warmup_steps))
        rate = settings.learning_rate * warmup * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with autocast(device, settings.precision):
            losses = losses_of_step(step)
        if not torch.isfinite(losses["loss"]):
            raise FloatingPointError(f"loss is not finite at step {step}; last good: {state_file}")
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update_parameters(model)
        step += 1
        now = time.monotonic()
        seconds, last_time = seconds + now - last_time, now
        recent.append({name: float(value.detach()) for name, value in losses.items()})
        if len(recent) == 50:
            _log(run_dir / "log.csv", step, seconds, rate, recent)
            recent = []
        if seconds - last_save > 60 * settings.save_minutes:
            save()
            last_save = seconds
    if recent:
        _log(run_dir / "log.csv", step, seconds, rate, recent)
    save()
    return average.module


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context that computes in bfloat16 where `precision` is "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def _ema(
    decay: float,
) -> Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor], None]:
    """Return the averaging step: a short run must not keep its untrained first weights."""

    @torch.no_grad()
    def update(
        averages: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor
    ) -> None:
        steps = int(count)
        share = 1 - min(decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(averages, current, share)

    return update


def _log(
    file: Path, step: int, seconds: float, rate: float, recent: list[dict[str, float]]
) -> None:
    row: dict[str, float] = {"step": step, "minutes": round(seconds / 60, 2), "rate": rate}
    row |= {name: sum(r[name] for r in recent) / len(recent) for name in recent[0]}
    new = not file.exists()
    with file.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
    logger.info("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
