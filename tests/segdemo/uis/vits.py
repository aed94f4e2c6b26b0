"""A tiny vision transformer of the real class, written to disk as its users have it."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import ViTConfig, ViTModel

PATCH, WIDTH = 8, 24


def write_vit(folder: Path) -> ViTModel:
    """Save a ViT with random weights, patches of 8 and no pooling layer, as DINO's; returns it."""
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=PATCH,
    )
    network = ViTModel(config, add_pooling_layer=False).eval()
    for parameter in network.parameters():  # as initialised, all pictures look nearly the same
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return network
