"""Load a vision transformer as transformers saves it, and the colors it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from segdemo.checkpoints.backbone import ENCODERS
from segdemo.checkpoints.files import CheckpointError, read_json
from segdemo.checkpoints.loading import load_frozen

PREPARATION = "preprocessor_config.json"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_vision(folder: Path, dtype: torch.dtype) -> Any:
    """Load the encoder of a folder whose `model_type` is one of `ENCODERS`; frozen.

    What lies above the layers is not needed. Raises CheckpointError.
    """
    kind = ENCODERS[str(read_json(folder / "config.json").get("model_type"))]
    options = {"add_pooling_layer": False} if kind == "ViTModel" else {}
    return load_frozen(getattr(transformers, kind), folder, dtype, **options).eval()


def class_tokens(network: Any) -> int:
    """Return how many tokens come before the patches: one for the whole image, and registers."""
    if network.config.model_type.startswith("siglip"):
        return 0
    return 1 + int(getattr(network.config, "num_register_tokens", 0))


def color_statistics(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of a network's training; ImageNet's by default.

    Raises CheckpointError.
    """
    file = folder / PREPARATION
    settings = read_json(file) if file.exists() else {}
    mean = settings.get("image_mean", IMAGENET_MEAN)
    std = settings.get("image_std", IMAGENET_STD)
    try:
        mean, std = (tuple(float(value) for value in given) for given in (mean, std))
    except (TypeError, ValueError):
        mean = std = ()
    if not (len(mean) == len(std) == 3 and all(value > 0 for value in std)):
        raise CheckpointError(
            f"{file}: image_mean and image_std must be three numbers each, those of image_std "
            "above 0: copy or download it again."
        )
    return mean, std
