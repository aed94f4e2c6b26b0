"""Read the LoRA of a denoiser from the files of several programs, by diffusers' own converters."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.utils import convert_unet_state_dict_to_peft
from safetensors import SafetensorError
from safetensors.torch import load_file

from segdemo.checkpoints.configs import AdapterConfig
from segdemo.checkpoints.files import PEFT_CONFIG, CheckpointError, damaged, read_header, read_json
from segdemo.checkpoints.loading import first_line
from segdemo.checkpoints.schema import validated

logger = logging.getLogger(__name__)

Weights = dict[str, torch.Tensor]

METADATA = "lora_adapter_metadata"  # diffusers' entry of a safetensors header
LORA_NAME = re.compile(r"[\w.]+")  # peft takes them for patterns
KOHYA = ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_")
OTHER_METHODS = {
    "lokr_": "a LyCORIS LoKr",
    "hada_": "a LyCORIS LoHa",
    "oft_": "an OFT adapter",
    "dora_scale": "a DoRA",
    "lora_magnitude": "a DoRA",
}
"""Adapters that are not a plain LoRA, by a part of their tensors' names."""


Converter = Callable[[Weights, Mapping[str, Any], str, Path], Weights]
"""From weights, the network's config, its prefix and the file to weights by diffusers' names."""


def read_lora(file: Path, prefix: str, network: Mapping[str, Any]) -> Weights:
    """Read the denoiser's part of a LoRA, to be added to the network with a scale of 1.

    The forms: diffusers' (also that of its old attention processors), kohya's (`lora_unet_`), for
    U-Nets, ComfyUI's (`diffusion_model.`), for U-Nets, and PEFT's (`base_model.model.`), whose
    `adapter_config.json` lies beside it. Scales that the file states, alpha / rank, are multiplied
    into the weights.

    prefix: "unet" or "transformer". network: the config of the denoiser. Returns the weights under
    the names that peft has for them, behind the prefix. Raises CheckpointError, which names the
    form.
    """
    header = read_header(file)
    metadata = header.pop("__metadata__", {})
    _check_names(file, header)
    form, convert = _form(file, header, prefix)
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise damaged(file) from error
    try:
        weights = convert(weights, network, prefix, file)
    except CheckpointError:
        raise
    except Exception as error:  # what foreign names raise differs by converter
        raise CheckpointError(
            f"{file} is a LoRA in {form} form that cannot be converted ({first_line(error)}): save "
            "it by the pipeline's save_lora_weights."
        ) from error
    kept = {name: value for name, value in weights.items() if name.startswith(f"{prefix}.")}
    if not kept:
        raise CheckpointError(f"{file} holds no LoRA of a {prefix}, in {form} form.")
    if len(kept) < len(weights):
        logger.warning("%s: its LoRA of text encoders is left out.", file)
    stated = _stated(metadata, prefix, file)
    return _scaled(kept, stated) if stated else kept


def _form(file: Path, names: Mapping[str, Any], prefix: str) -> tuple[str, Converter]:
    """Tell the form of a file by its tensors' names; raises CheckpointError for unknown ones."""
    unet = prefix == "unet"
    if any(name.startswith(KOHYA) for name in names):
        form: tuple[str, Converter | None] = ("kohya", _from_kohya if unet else None)
    elif any(name.startswith("diffusion_model.") for name in names):
        form = ("ComfyUI", _from_comfyui if unet else None)
    elif any(name.startswith("base_model.model.") for name in names):
        form = ("PEFT", _from_peft)
    elif any(name.startswith((f"{prefix}.", "text_encoder")) for name in names):
        form = ("diffusers", _from_diffusers)
    elif any("_lora.down." in name or ".lora." in name or "lora_A" in name for name in names):
        form = ("diffusers (without the network's name)", _from_network)
    else:
        raise CheckpointError(
            f"{file} holds {min(names, default='no tensors')!r}, which is not a LoRA of a {prefix} "
            "in the form of diffusers, kohya, ComfyUI or PEFT: save it by the pipeline's "
            "save_lora_weights."
        )
    if form[1] is None:
        raise CheckpointError(
            f"{file} is a LoRA in {form[0]} form, which is read for U-Nets only: load it by the "
            "pipeline of diffusers and save it by save_lora_weights."
        )
    return form[0], form[1]


def _check_names(file: Path, names: Mapping[str, Any]) -> None:
    """Refuse other methods than LoRA, and names that would be patterns; raises CheckpointError."""
    for name in names:
        for part, method in OTHER_METHODS.items():
            if part in name:
                raise CheckpointError(
                    f"{file} is {method}, not a plain LoRA ({name!r}): convert it, or extract a "
                    "LoRA from the model that it makes."
                )
        if not LORA_NAME.fullmatch(name):
            raise CheckpointError(f"{file} holds {name!r}, which cannot be the name of a layer.")


def _from_kohya(weights: Weights, network: Mapping[str, Any], _: str, __: Path) -> Weights:
    converted, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(weights, unet_config=network)
    converted = convert_unet_state_dict_to_peft(converted)
    # their names keep the tensor's, or not, by the kind of layer
    named = convert_unet_state_dict_to_peft(alphas or {})
    by_layer = {_layer(name.removesuffix(".alpha")): float(v) for name, v in named.items()}
    return {
        name: value * (by_layer.get(_layer(name), value.shape[1]) / value.shape[1])
        if ".lora_B." in name
        else value
        for name, value in converted.items()
    }


def _from_comfyui(weights: Weights, network: Mapping[str, Any], prefix: str, file: Path) -> Weights:
    """Rename the layers as kohya does: all dots but those of the tensor are underscores."""
    renamed = {}
    for name, value in weights.items():
        if not name.startswith("diffusion_model."):
            continue  # a text encoder's
        name = name.replace(".lora_A.", ".lora_down.").replace(".lora_B.", ".lora_up.")
        layer, tensor = re.split(r"\.(?=lora_|alpha$)", name.removeprefix("diffusion_model."))
        renamed[f"lora_unet_{layer.replace('.', '_')}.{tensor}"] = value
    return _from_kohya(renamed, network, prefix, file)


def _from_peft(weights: Weights, _: Mapping[str, Any], prefix: str, file: Path) -> Weights:
    named = {f"{prefix}.{n.removeprefix('base_model.model.')}": v for n, v in weights.items()}
    beside = file.parent / PEFT_CONFIG
    if not beside.exists():
        return named
    return _scaled(named, validated(AdapterConfig, read_json(beside), beside))


def _from_diffusers(weights: Weights, _: Mapping[str, Any], __: str, ___: Path) -> Weights:
    named = {name.replace(".processor.", "."): value for name, value in weights.items()}
    return convert_unet_state_dict_to_peft(named)


def _from_network(weights: Weights, network: Mapping[str, Any], prefix: str, file: Path) -> Weights:
    named = {f"{prefix}.{name}": value for name, value in weights.items()}
    return _from_diffusers(named, network, prefix, file)


def _stated(metadata: Mapping[str, Any], prefix: str, file: Path) -> AdapterConfig | None:
    """Return what diffusers' metadata say of the network's LoRA; None without them."""
    try:
        entries = json.loads(metadata.get(METADATA, "{}"))
        own = {n.removeprefix(f"{prefix}."): entries[n] for n in entries if n.startswith(prefix)}
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: its {METADATA} is not JSON: save it again.") from error
    return validated(AdapterConfig, own, file) if own else None


def _scaled(weights: Weights, settings: AdapterConfig) -> Weights:
    """Multiply each layer's LoRA by alpha / rank, or alpha / sqrt(rank) where that was chosen."""
    scaled = dict(weights)
    for name, value in weights.items():
        if ".lora_B." in name:
            layer, rank = _layer(name), value.shape[1]
            named = [a for key, a in settings.alpha_pattern.items() if _means(key, layer)]
            alpha = named[0] if named else settings.lora_alpha
            scaled[name] = value * (alpha / (math.sqrt(rank) if settings.use_rslora else rank))
    return scaled


def _means(key: str, layer: str) -> bool:
    """Whether a layer is the one that a key of peft's patterns, here always a plain name, names."""
    return layer.split(".", 1)[1] == key.removeprefix("^") or layer.endswith(f".{key}")


def _layer(name: str) -> str:
    return name.partition(".lora_")[0]
