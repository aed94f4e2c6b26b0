"""Autoencoders of latent models: Stable Diffusion's, diffusers' small one (TAESD), our compact one.

The small one is called like the others, and its latents are meant to be the same as those of the
autoencoder that it was distilled from; how far masks move by it depends on the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from segdemo.checkpoints.files import CheckpointError, read_json
from segdemo.checkpoints.loading import load_frozen
from segdemo.checkpoints.locate import locate
from segdemo.compact_autoencoder import CompactAutoencoder

Autoencoder: TypeAlias = AutoencoderKL | AutoencoderTiny | CompactAutoencoder
KINDS = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny, CompactAutoencoder)}
FACTOR = 8
"""Pixels a side of a latent cell, for which the methods are written."""


def open_autoencoder(folder: Path) -> Autoencoder:
    """Load the autoencoder of a folder in float32; raises CheckpointError."""
    name = str(read_json(folder / "config.json").get("_class_name", AutoencoderKL.__name__))
    if name not in KINDS:
        raise CheckpointError(
            f"{folder} holds a {name}: an autoencoder is one of {', '.join(KINDS)}."
        )
    autoencoder: Autoencoder = load_frozen(KINDS[name], folder, torch.float32)
    return autoencoder


def find_autoencoder(name: str, channels: int) -> Autoencoder:
    """Load what stands in for a model's own autoencoder; raises CheckpointError.

    name: a folder as diffusers saves it, or with `vae/`, or a Hub id such as madebyollin/taesd.
    channels: of the model's latents.
    """
    folder = locate(name, "autoencoder")
    if not (folder / "config.json").exists() and (folder / "vae").is_dir():
        folder = folder / "vae"
    autoencoder = open_autoencoder(folder)
    if autoencoder.config.latent_channels != channels:
        raise CheckpointError(
            f"{folder} makes latents of {autoencoder.config.latent_channels} channels, the model "
            f"works on {channels}: give the autoencoder of the model's own family."
        )
    blocks = len(autoencoder.config.block_out_channels)
    factor = getattr(autoencoder, "factor", 2 ** (blocks - 1))
    if factor != FACTOR:
        raise CheckpointError(
            f"{folder} makes a latent cell of {factor} pixels a side, {FACTOR} are needed: give "
            "the autoencoder of the model's own family."
        )
    return autoencoder
