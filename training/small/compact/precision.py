"""The number format of the compact models' training."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch

from segdemo.precision import fastest_precision
from segdemo.settings import AUTO_PRECISION
from training.loop.settings import LoopSettings

Chosen = TypeVar("Chosen", bound=LoopSettings)


def loop_settings(settings: Chosen, device: torch.device) -> Chosen:
    """Return a program's settings with precision "auto" resolved for a device."""
    if settings.precision != AUTO_PRECISION:
        return settings
    return replace(settings, precision=fastest_precision(device))
