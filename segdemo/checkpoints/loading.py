"""Load networks of diffusers and transformers, complete or not at all. Needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, ModelMixin
from safetensors import SafetensorError
from safetensors.torch import load_file

from segdemo.checkpoints.configs import SCHEMAS, NoiseScheduleConfig, read_config
from segdemo.checkpoints.files import (
    DIFFUSERS_STEM,
    TRANSFORMERS_STEM,
    CheckpointError,
    check_regular,
    damaged,
    network_files,
)
from segdemo.checkpoints.schema import validated


def load_frozen(kind: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """Load one network, complete and without NaN, and freeze it; raises CheckpointError.

    kind: a class with `from_pretrained`, which gets the options. Its config is checked before it is
    built. Where the folder has only a variant of the weights, such as fp16, that is loaded.
    """
    ours = issubclass(kind, ModelMixin)
    check_regular(folder)
    if kind.__name__ in SCHEMAS:
        read_config(folder, kind.__name__)
    variant = network_files(folder, DIFFUSERS_STEM if ours else TRANSFORMERS_STEM).variant
    try:
        network, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=variant,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # what a foreign config raises differs by class and entry
        raise CheckpointError(
            f"{folder} cannot be loaded ({first_line(error)}): copy or download the folder again."
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{folder} lacks {missing[0]!r} and {len(missing) - 1} more: the file is incomplete, "
            "copy or download it again."
        )
    extra = sorted(report["unexpected_keys"])
    if extra and ours:  # the others keep what newer releases do not need
        raise CheckpointError(
            f"{folder} holds {extra[0]!r}, which the network of its config.json does not have: "
            "check that both belong together."
        )
    check_finite(folder, dict(network.named_parameters()), dtype)
    return network.requires_grad_(False)


def check_finite(source: Path, weights: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Raise CheckpointError where weights hold NaN or infinite numbers."""
    for name, parameter in weights.items():
        if not torch.isfinite(parameter).all():
            raise CheckpointError(
                f"{source}: {name!r} holds NaN or infinite numbers in {dtype}: use --precision "
                "fp32, or copy or download the weights again."
            )


def load_null_text(file: Path, width: int) -> torch.Tensor:
    """Load an empty prompt's embedding (1, n, width) in float32; raises CheckpointError."""
    check_regular(file.parent)
    try:
        tokens = load_file(file)["null_text"].float()
    except KeyError as error:
        raise CheckpointError(f"{file} holds no 'null_text': copy the folder again.") from error
    except (OSError, SafetensorError) as error:
        raise damaged(file) from error
    if tokens.ndim != 3 or len(tokens) != 1 or tokens.shape[-1] != width:
        raise CheckpointError(
            f"{file}: the empty prompt is {tuple(tokens.shape)}, the network needs (1, n, "
            f"{width}): check that all parts belong to one model; in a cache, delete the file."
        )
    check_finite(file, {"null_text": tokens}, tokens.dtype)
    return tokens


def load_noise_schedule(settings: dict[str, Any], file: Path) -> DDPMScheduler:
    """Return the noise levels that a scheduler's file says; which sampler it names is left out.

    Raises CheckpointError.
    """
    validated(NoiseScheduleConfig, settings, file)
    expected = DDPMScheduler().config
    try:
        scheduler = DDPMScheduler(**{n: settings[n] for n in expected if n in settings})
    except Exception as error:  # NotImplementedError and what odd numbers raise
        raise CheckpointError(
            f"{file} describes no schedule known here ({first_line(error)}): copy or download it "
            "again."
        ) from error
    if len(scheduler.betas) != scheduler.config.num_train_timesteps:
        raise CheckpointError(f"{file}: 'trained_betas' should be as many as num_train_timesteps.")
    return scheduler


def first_line(error: Exception) -> str:
    """Return what an error says first, or its kind where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
