"""LoRA adapters of a backbone's self-attention: made, saved as diffusers does, and opened again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import nn

from segdemo.checkpoints.files import LORA_FILE, CheckpointError
from segdemo.checkpoints.loading import check_finite, first_line
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.backbones.mmdit import MMDiTBackbone
from segdemo.diffegg.lora_formats import read_lora

ADAPTER_NAME = "edges"
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


def add_adapter(backbone: Backbone, layers: Sequence[str], rank: int) -> None:
    """Give the backbone's network a new LoRA on the projections of some attention layers.

    Its weights are float32 whatever the network's are, take gradients and change nothing yet. It
    is enabled at once, outside of `Backbone.adapted` too.
    """
    targets = [f"{layer}.{projection}" for layer in layers for projection in PROJECTIONS]
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
    backbone.network.add_adapter(config, ADAPTER_NAME)
    for parameter in adapter_parameters(backbone).values():
        parameter.data = parameter.data.float()
    backbone.has_adapter = True


def adapter_parameters(backbone: Backbone) -> dict[str, nn.Parameter]:
    """Return the adapter's weights by name."""
    return {n: p for n, p in backbone.network.named_parameters() if f".{ADAPTER_NAME}." in n}


def save_adapter(backbone: Backbone, folder: Path) -> None:
    """Write `pytorch_lora_weights.safetensors`, which `load_lora_weights` of pipelines reads."""
    # seconds of import, which only training needs
    from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline

    weights = get_peft_model_state_dict(backbone.network, adapter_name=ADAPTER_NAME)
    settings = backbone.network.peft_config[ADAPTER_NAME].to_dict()
    weights = {name: value.detach().float().cpu() for name, value in weights.items()}
    if isinstance(backbone, MMDiTBackbone):
        StableDiffusion3Pipeline.save_lora_weights(
            folder,
            transformer_lora_layers=weights,
            weight_name=LORA_FILE,
            transformer_lora_adapter_metadata=settings,
        )
        return
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=weights,
        weight_name=LORA_FILE,
        unet_lora_adapter_metadata=settings,
    )


def load_adapter(backbone: Backbone, file: Path) -> None:
    """Give the backbone's network the LoRA of a file, disabled; raises CheckpointError.

    The file may be in any form that `read_lora` knows. Every layer in it must be one of the
    network's, in its shape; what it holds for text encoders is left out.
    """
    network = backbone.network
    prefix = "transformer" if isinstance(backbone, MMDiTBackbone) else "unet"
    precision = network.dtype
    misfit = f"{file} does not fit {backbone.name}"
    weights = read_lora(file, prefix, network.config)
    try:
        network.load_lora_adapter(dict(weights), prefix=prefix, adapter_name=ADAPTER_NAME)
    except Exception as error:  # what foreign weights raise differs by layer
        raise CheckpointError(
            f"{misfit} ({first_line(error)}): it is damaged, or belongs to another model."
        ) from error
    loaded = {
        f"{prefix}.{name.replace(f'.{ADAPTER_NAME}.', '.')}": parameter
        for name, parameter in adapter_parameters(backbone).items()
    }
    odd = sorted(weights.keys() ^ loaded.keys())
    if odd:
        raise CheckpointError(
            f"{misfit}: {odd[0]!r} is in one of both only. Give the model that it was trained for."
        )
    check_finite(file, loaded, precision)
    for parameter in loaded.values():
        parameter.data = parameter.data.to(backbone.device, precision)
    network.requires_grad_(False)
    backbone.has_adapter = True
    network.disable_adapters()
