"""What the training programs of the compact models have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from segdemo.precision import fastest_precision
from segdemo.settings import AUTO_PRECISION, setting
from training.loop.settings import PRECISIONS, LoopSettings, same_as


@dataclass(frozen=True)
class CompactSettings(LoopSettings):
    """Where the material lies, and what the network runs on."""

    data_dir: str = setting("material", "Holds train_mix/ and photos2/.", may_change=True)
    device: str = setting("auto", "auto, cpu, cuda or mps.", may_change=True)
    precision: str = same_as(
        LoopSettings, "precision", default=AUTO_PRECISION, choices=(AUTO_PRECISION, *PRECISIONS)
    )


Chosen = TypeVar("Chosen", bound=CompactSettings)


def loop_settings(settings: Chosen, device: torch.device) -> Chosen:
    """Return a program's settings with precision "auto" resolved for a device."""
    if settings.precision != AUTO_PRECISION:
        return settings
    return replace(settings, precision=fastest_precision(device))
