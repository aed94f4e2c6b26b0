"""Load networks of diffusers and transformers, complete or not at all. Needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from segdemo.checkpoints.files import CheckpointError

UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError)
"""What loading a damaged or foreign file raises."""


def load_frozen(kind: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """Load one network, complete and without NaN, and freeze it; raises CheckpointError.

    kind: a class with `from_pretrained`, which gets the options.
    """
    try:
        network, report = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
    except UNREADABLE as error:
        raise CheckpointError(
            f"{folder} cannot be loaded ({first_line(error)}): copy or download the folder again."
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{folder} lacks {missing[0]!r} and {len(missing) - 1} more: the file is incomplete, "
            "copy or download it again."
        )
    for name, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            raise CheckpointError(
                f"{folder}: {name!r} holds NaN or infinite numbers in {dtype}: use --precision "
                "fp32, or copy or download the weights again."
            )
    return network.requires_grad_(False)


def first_line(error: Exception) -> str:
    """Return what an error says first, or its kind where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
