"""Load a vision transformer as transformers saves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from segdemo.checkpoints.backbone import ENCODERS
from segdemo.checkpoints.files import read_json
from segdemo.checkpoints.loading import load_frozen


def load_vision(folder: Path, dtype: torch.dtype) -> Any:
    """Load the encoder of a folder whose `model_type` is one of `ENCODERS`; frozen.

    What lies above the layers is not needed. Raises CheckpointError.
    """
    kind = ENCODERS[str(read_json(folder / "config.json").get("model_type"))]
    options = {"add_pooling_layer": False} if kind == "ViTModel" else {}
    return load_frozen(getattr(transformers, kind), folder, dtype, **options).eval()


def class_tokens(network: Any) -> int:
    """Return how many tokens come before the patches: one for the whole image, and registers."""
    return _class_tokens(network.config)


def image_tokens(network: Any) -> tuple[int, int]:
    """Return how many tokens a vision-language model gets of an image, and of them not patches."""
    vision = network.config.vision_config
    others = _class_tokens(vision)
    if network.config.vision_feature_select_strategy != "full":
        others = 0  # the language model does not get them
    return (vision.image_size // vision.patch_size) ** 2 + others, others


def _class_tokens(config: Any) -> int:
    if config.model_type.startswith("siglip"):
        return 0
    return 1 + int(getattr(config, "num_register_tokens", 0))
