"""Learning rate schedules, and optimizers."""

from __future__ import annotations

import math
from typing import Any

import torch


def learning_rate_factor(
    schedule: str, step: int, progress: float, warmup_steps: int, epoch_steps: int
) -> float:
    """Return the share of the peak learning rate at a step. progress: 0 to 1 of the run.

    diffdis: after each epoch e from 1 on, the rate is multiplied by 0.95 ** (e // 30), which
    compounds (official training script).
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    if schedule == "constant":
        return warmup
    if schedule == "cosine":
        return warmup * (0.5 + 0.5 * math.cos(math.pi * progress))
    ended = step // max(1, epoch_steps)
    return math.prod((0.95 ** (epoch // 30) for epoch in range(1, ended + 1)), start=warmup)


def build_optimizer(
    name: str, groups: list[dict[str, Any]], learning_rate: float
) -> torch.optim.Optimizer:
    """Return the optimizer of parameter groups: adam, or adamw with weight decay 0.01."""
    if name == "adam":
        return torch.optim.Adam(groups, lr=learning_rate)
    return torch.optim.AdamW(groups, lr=learning_rate, weight_decay=1e-2)
