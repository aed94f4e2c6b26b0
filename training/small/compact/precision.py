"""The number format of the compact models' training."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch

from training.loop.settings import LoopSettings

Chosen = TypeVar("Chosen", bound=LoopSettings)


def fastest_precision(device: torch.device) -> str:
    """Return "bf16" where the hardware multiplies it, else "fp32".

    Processors without instructions for bfloat16 emulate it at a tenth of the speed of float32.
    """
    if device.type == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    elif device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = False
    return "bf16" if fast else "fp32"


def loop_settings(settings: Chosen, device: torch.device) -> Chosen:
    """Return a program's settings with precision "auto" resolved for a device."""
    if settings.precision != "auto":
        return settings
    return replace(settings, precision=fastest_precision(device))
