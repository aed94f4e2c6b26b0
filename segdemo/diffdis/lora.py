"""A LoRA of DiffDIS' network: what fine-tuning changed, in a small file, merged when loaded."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from segdemo.checkpoints.configs import AdapterConfig
from segdemo.checkpoints.files import (
    PEFT_CONFIG,
    PEFT_FILE,
    CheckpointError,
    check_regular,
    damaged,
    read_json,
)
from segdemo.checkpoints.loading import check_finite
from segdemo.checkpoints.schema import validated
from segdemo.diffdis.unet import DiffDISUNet

NAME = "lora"
PROJECTIONS = r".*\.(to_q|to_k|to_v|to_out\.0)"
PREFIX = "base_model.model."  # of PEFT's files
FORM = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_[AB]\.weight")


def add_lora(unet: DiffDISUNet, rank: int) -> None:
    """Freeze a network and give all of its attention a LoRA, which changes nothing yet."""
    unet.requires_grad_(False)
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=rank, target_modules=PROJECTIONS), unet, NAME
    )


def keep_statistics(unet: DiffDISUNet) -> None:
    """Let batch norms use the statistics that they have, and keep them: a LoRA does not hold them.

    To be called after each `train()`, which undoes it.
    """
    for module in unet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def save_lora(unet: DiffDISUNet, folder: Path) -> None:
    """Write the LoRA of `add_lora` in PEFT's form, `adapter_model.safetensors` and its config."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = get_peft_model_state_dict(unet, adapter_name=NAME)
    whole = {f"{PREFIX}{n}": v.detach().float().cpu().contiguous() for n, v in weights.items()}
    save_file(whole, folder / PEFT_FILE)
    config = copy.copy(unet.peft_config[NAME])
    config.base_model_name_or_path = None  # a path of this machine
    config.save_pretrained(folder)


def without_lora(unet: DiffDISUNet) -> DiffDISUNet:
    """Return a copy in whose weights the LoRA of `add_lora` is merged; a plain network itself."""
    if not any(isinstance(module, BaseTunerLayer) for module in unet.modules()):
        return unet
    plain = copy.deepcopy(unet)
    for name, module in list(plain.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            plain.get_submodule(parent).register_module(child, module.get_base_layer())
    if hasattr(plain, "peft_config"):
        del plain.peft_config
    return plain


@torch.no_grad()
def merge_lora(unet: DiffDISUNet, folder: Path) -> None:
    """Add the LoRA in a folder to a network's weights; raises CheckpointError where it misfits."""
    check_regular(folder)
    file = folder / PEFT_FILE
    config = validated(AdapterConfig, read_json(folder / PEFT_CONFIG), folder / PEFT_CONFIG)
    if config.alpha_pattern:
        raise CheckpointError(
            f"{folder / PEFT_CONFIG}: 'alpha_pattern' is not used by this program."
        )
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise damaged(file) from error
    check_finite(file, weights, torch.float32)
    layers = dict(unet.named_modules())
    found = {name: FORM.fullmatch(name) for name in weights}
    for name in {match["layer"] if match else name for name, match in found.items()}:
        down = weights.get(f"{PREFIX}{name}.lora_A.weight")  # (rank, inputs)
        up = weights.get(f"{PREFIX}{name}.lora_B.weight")  # (outputs, rank)
        layer = layers.get(name)
        if not isinstance(layer, torch.nn.Linear) or down is None or up is None:
            raise _misfit(file, name)
        shape = (up.shape[0], down.shape[1])
        if down.shape[0] != up.shape[1] or shape != tuple(layer.weight.shape):
            raise _misfit(file, name)
        rank = len(down)
        scale = config.lora_alpha / (math.sqrt(rank) if config.use_rslora else rank)
        layer.weight += scale * (up.float() @ down.float()).to(layer.weight)


def _misfit(file: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{file}: {name!r} does not fit the network: give the LoRA the model that its "
        "segdemo.json names, or copy it again."
    )
