"""The names that Stable Diffusion's authors gave the weights, of which single files are made.

For U-Nets and autoencoders of four levels with two and one layers each: those of `backbones`.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

LEVELS, LAYERS = 4, 2
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}


def unet_name(name: str) -> str:
    """Return what the authors call a weight of diffusers' U-Net."""
    for ours, theirs in OUTSIDE.items():
        if name.startswith(f"{ours}."):
            return _inside(theirs + name.removeprefix(ours))
    way, level, kind, number, rest = re.fullmatch(
        r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", name
    ).groups()
    down, level, number = way == "down", int(level), int(number)
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * (LAYERS + 1)}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{level * (LAYERS + 1) + LAYERS}.{1 if level == 0 else 2}.{rest}"
    block = level * (LAYERS + 1) + number + (1 if down else 0)
    place = f"{'input' if down else 'output'}_blocks.{block}.{int(kind == 'attentions')}"
    return _inside(f"{place}.{rest}")


def _inside(name: str) -> str:
    for ours, theirs in RESNET.items():
        name = re.sub(rf"(blocks\.\d+\.0|middle_block\.[02])\.{ours}\.", rf"\1.{theirs}.", name)
    return name


def autoencoder_name(name: str) -> str:
    """Return what the authors call a weight of diffusers' autoencoder."""
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    if up := re.match(r"decoder\.up_blocks\.(\d)\.", name):
        name = name.replace(up[0], f"decoder.up.{LEVELS - 1 - int(up[1])}.")
        name = name.replace("resnets.", "block.").replace("upsamplers.0", "upsample")
    for ours, theirs in {
        "mid_block.resnets.0": "mid.block_1",
        "mid_block.resnets.1": "mid.block_2",
        "mid_block.attentions.0": "mid.attn_1",
        "conv_shortcut": "nin_shortcut",
        "conv_norm_out": "norm_out",
        "group_norm": "norm",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "to_out.0": "proj_out",
    }.items():
        name = name.replace(ours, theirs)
    return name


def write_single_file(folder: Path, file: Path) -> None:
    """Write Stable Diffusion 1.5 as one file from the folder that diffusers saves."""
    weights: dict[str, torch.Tensor] = {}
    for name, value in load_file(folder / "unet/diffusion_pytorch_model.safetensors").items():
        weights[f"model.diffusion_model.{unet_name(name)}"] = value
    for name, value in load_file(folder / "vae/diffusion_pytorch_model.safetensors").items():
        name = autoencoder_name(name)
        is_attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)
        weights[f"first_stage_model.{name}"] = value[..., None, None] if is_attention else value
    for name, value in load_file(folder / "text_encoder/model.safetensors").items():
        name = name.removeprefix("text_model.")
        weights[f"cond_stage_model.transformer.text_model.{name}"] = value
    save_file({name: value.contiguous() for name, value in weights.items()}, file)
