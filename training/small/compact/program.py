"""What the programs of the compact models share: precision, and the command line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

import torch
from transformers import HfArgumentParser

from segdemo.datatypes import InputError
from segdemo.terminal import print_any_text
from training.loop.trainer import LoopSettings

Settings = TypeVar("Settings", bound=LoopSettings)


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


def run_program(
    kind: type[Settings], train: Callable[[Settings], None], argv: list[str] | None
) -> int:
    """Parse the command line into settings of a kind and train by them; returns the exit code.

    2 for wrong usage, 1 for a loss that is not a number, each with a sentence.
    """
    print_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    (settings,) = HfArgumentParser(kind).parse_args_into_dataclasses(argv)
    try:
        train(settings)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"{error}; try --precision fp32 or a lower --learning_rate.", file=sys.stderr)
        return 1
    return 0
