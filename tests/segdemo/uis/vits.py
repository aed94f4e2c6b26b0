"""Tiny vision transformers of the real classes, written to disk as their users have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTModel,
)

PATCH, WIDTH, REGISTERS = 8, 24, 4
SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": PATCH,
}


def write_vit(folder: Path, kind: str = "vit") -> Any:
    """Save a ViT of a model_type with random weights and patches of 8; returns it."""
    torch.manual_seed(0)
    network = _network(kind).eval()
    for parameter in network.parameters():  # as initialised, all pictures look nearly the same
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return network


def _network(kind: str) -> Any:
    if kind == "vit":  # without a pooling layer, as DINO's
        return ViTModel(ViTConfig(**SHAPE, intermediate_size=32), add_pooling_layer=False)
    if kind == "dinov2":
        return Dinov2Model(Dinov2Config(**SHAPE, mlp_ratio=2))
    if kind in ("clip", "siglip"):  # whole, with the part for text
        small = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}
        text = small | {"intermediate_size": 8, "vocab_size": 9, "projection_size": 8}
        model, config = (CLIPModel, CLIPConfig) if kind == "clip" else (SiglipModel, SiglipConfig)
        vision = SHAPE | {"intermediate_size": 32}
        return model(config(text_config=text, vision_config=vision, projection_dim=8))
    shape = SHAPE | {"mlp_ratio": 2, "num_register_tokens": REGISTERS}
    return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**shape))
