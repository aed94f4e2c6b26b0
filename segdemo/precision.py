"""The number format of networks: named, or the fastest that keeps masks as they are."""

from __future__ import annotations

import os
import shutil

import torch

from segdemo.datatypes import InputError
from segdemo.settings import AUTO_PRECISION, check_precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


def bulk_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the format of what tolerates rounding, such as autoencoders; auto: the fastest."""
    check_precision(name)
    return DTYPES[fastest_precision(device) if name == AUTO_PRECISION else name]


def exact_dtype(name: str) -> torch.dtype:
    """Return the format of what amplifies rounding; auto: float32."""
    check_precision(name)
    return DTYPES["fp32" if name == AUTO_PRECISION else name]


def cast(network: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move a network to a device and a number format; without diffusers' warning, which is empty.

    That class warns of modules to keep in float32 also where it has none.
    """
    torch.nn.Module.to(network, device=device, dtype=dtype)


def channels_last(network: torch.nn.Module, device: torch.device) -> None:
    """Lay the weights of convolutions out by pixels where that is faster: on CPUs, by a third."""
    if device.type == "cpu":
        torch.nn.Module.to(network, memory_format=torch.channels_last)


def compile_network(network: torch.nn.Module, device: torch.device) -> None:
    """Let PyTorch compile a network at its first call; for each size of image again.

    Raises InputError where there is no compiler for the processor's code.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if device.type == "cpu" and compiler is None:
        raise InputError("--compile needs a C++ compiler: install g++, or leave --compile out.")
    network.compile()
