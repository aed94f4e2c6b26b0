"""LoRA adapters of a backbone's self-attention: made, saved as diffusers does, and opened again."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

from segdemo.checkpoints.files import LORA_FILE, PEFT_FILE, CheckpointError
from segdemo.checkpoints.loading import check_finite, first_line
from segdemo.diffegg.backbones.base import Backbone, InjectedAdapter
from segdemo.diffegg.lora_formats import read_lora

ADAPTER_NAME = "edges"
PROJECTIONS = (
    *("to_q", "to_k", "to_v", "to_out.0"),  # in diffusers
    *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj"),  # in transformers
)


def add_adapter(backbone: Backbone, layers: Sequence[str], rank: int) -> None:
    """Give the backbone's network a new LoRA on the projections of some attention layers.

    Its weights are float32 whatever the network's are, take gradients and change nothing yet. It
    is enabled at once, outside of `Backbone.adapted` too.
    """
    modules = dict(backbone.network.named_modules())
    wanted = [f"{layer}.{projection}" for layer in layers for projection in PROJECTIONS]
    targets = [name for name in wanted if name in modules]
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
    backbone.add_adapter(config, ADAPTER_NAME)
    for parameter in adapter_parameters(backbone).values():
        parameter.data = parameter.data.float()


def adapter_parameters(backbone: Backbone) -> dict[str, nn.Parameter]:
    """Return the adapter's weights by name."""
    return {n: p for n, p in backbone.network.named_parameters() if f".{ADAPTER_NAME}." in n}


def save_adapter(backbone: Backbone, folder: Path) -> None:
    """Write `pytorch_lora_weights.safetensors`, which `load_lora_weights` of pipelines reads.

    Of an `InjectedAdapter`: PEFT's own form, which transformers' `load_adapter` reads.
    """
    # seconds of import, which only training needs
    from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline

    weights = get_peft_model_state_dict(backbone.network, adapter_name=ADAPTER_NAME)
    weights = {name: value.detach().float().cpu() for name, value in weights.items()}
    config = backbone.network.peft_config[ADAPTER_NAME]
    if isinstance(backbone, InjectedAdapter):
        folder.mkdir(parents=True, exist_ok=True)
        config = copy(config)
        config.base_model_name_or_path = None  # a path of this machine
        config.save_pretrained(folder)
        save_file({f"base_model.model.{n}": v for n, v in weights.items()}, folder / PEFT_FILE)
        return
    settings = config.to_dict()
    if backbone.lora_prefix == "transformer":
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
    prefix = backbone.lora_prefix
    precision = network.dtype
    misfit = f"{file} does not fit {backbone.name}"
    weights = read_lora(file, prefix, network.config)
    try:
        if isinstance(backbone, InjectedAdapter):
            _add_weights(backbone, {n.removeprefix(f"{prefix}."): v for n, v in weights.items()})
        else:
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
    backbone.switch_adapter(False)


def _add_weights(backbone: Backbone, weights: dict[str, torch.Tensor]) -> None:
    """Give a network a LoRA of these weights with a scale of 1."""
    ranks = {n.partition(".lora_")[0]: len(v) for n, v in weights.items() if ".lora_A." in n}
    config = LoraConfig(target_modules=list(ranks), rank_pattern=ranks, alpha_pattern=ranks)
    backbone.add_adapter(config, ADAPTER_NAME)
    set_peft_model_state_dict(backbone.network, weights, adapter_name=ADAPTER_NAME)
