"""How fast a run learns: schedules and optimisers."""

from __future__ import annotations

import math
from typing import Any

import torch

from segdemo.datatypes import InputError


def rate_factor(
    schedule: str, step: int, progress: float, warmup_steps: int, epoch_steps: int
) -> float:
    """Return what the learning rate is multiplied by at a step. progress: 0 to 1 of the run.

    diffdis: after each epoch e from 1 on, the rate is multiplied by 0.95 ** (e // 30), which
    compounds (official training script). Raises InputError for another schedule.
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    match schedule:
        case "constant":
            return warmup
        case "cosine":
            return warmup * (0.5 + 0.5 * math.cos(math.pi * progress))
        case "diffdis":
            ended = step // max(1, epoch_steps)
            return math.prod((0.95 ** (epoch // 30) for epoch in range(1, ended + 1)), start=warmup)
    raise InputError(f"Schedule {schedule!r}: choose cosine, constant or diffdis.")


def build_optimizer(name: str, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
    """Return the optimiser of parameter groups; raises InputError for another name."""
    if name == "adam":
        return torch.optim.Adam(groups, lr=rate)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=1e-2)
    raise InputError(f"Optimizer {name!r}: choose adamw or adam.")
