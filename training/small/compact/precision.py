"""The number format of the compact models' training."""

from __future__ import annotations

from dataclasses import fields

import torch

from training.loop.settings import LoopSettings


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


def loop_settings(settings: LoopSettings, device: torch.device) -> LoopSettings:
    """Return the loop's part of a program's settings, precision "auto" resolved for a device."""
    values = {entry.name: getattr(settings, entry.name) for entry in fields(LoopSettings)}
    if settings.precision == "auto":
        values["precision"] = fastest_precision(device)
    return LoopSettings(**values)
