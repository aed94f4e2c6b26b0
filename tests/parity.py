"""The DiffDIS parity fixtures: numbers that the official classes produced, and their weights."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from safetensors.torch import load_file

from segdemo.diffdis.loading import SD_TURBO_SCHEDULE
from segdemo.diffdis.parameter_names import official_name, our_name
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet

FIXTURES = Path(__file__).parent / "fixtures"


def parity_folder() -> Path:
    """Return the fixture folder; SEGDEMO_PARITY_FIXTURES names another of the same form."""
    return Path(os.environ.get("SEGDEMO_PARITY_FIXTURES", FIXTURES / "diffdis_compact"))


def recipe_tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Draw the weight of an official key by the fixtures' recipe."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    values = rng.standard_normal(shape, dtype=np.float32)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if name.endswith("running_mean"):
        return torch.from_numpy(np.asarray(0.3 * values))
    if name.endswith("running_var"):
        return torch.from_numpy(np.asarray(0.5 + np.abs(values)))
    if len(shape) >= 2:
        scale = 1 / np.sqrt(float(np.prod(shape[1:])))
        values = values * np.float32(scale)
        return torch.from_numpy(values * (2.5 if name.startswith("class_embedding") else 1))
    normalises = "norm" in name or (name.startswith("rgb_conv") and ".1." in name)
    if normalises and name.endswith("weight"):
        return torch.from_numpy(np.asarray(1 + 0.2 * values))
    return torch.from_numpy(np.asarray((0.2 if normalises else 0.1) * values))


def build_unet(folder: Path) -> DiffDISUNet:
    """Build the fixture's U-Net with stored weights, or with weights by the recipe."""
    config = json.loads((folder / "unet_config.json").read_text())
    known = {k: v for k, v in config.items() if k not in ("mid_extra_cross", "mode", "use_swci")}
    known.pop("swci_channels", None)
    unet = DiffDISUNet(**known)
    stored = folder / "unet.safetensors"
    if stored.exists():
        weights = {our_name(name): value for name, value in load_file(stored).items()}
    else:
        weights = {
            name: recipe_tensor(official_name(name), tuple(value.shape))
            for name, value in unet.state_dict().items()
        }
    unet.load_state_dict(weights)
    return unet.eval()


def build_autoencoder(folder: Path) -> AutoencoderKL:
    """Build the fixture's autoencoder."""
    autoencoder = AutoencoderKL(**json.loads((folder / "vae_config.json").read_text()))
    stored = folder / "vae.safetensors"
    if stored.exists():
        weights = load_file(stored)
    else:
        shapes = {name: tuple(value.shape) for name, value in autoencoder.state_dict().items()}
        weights = {name: recipe_tensor(name, shape) for name, shape in shapes.items()}
        weights["quant_conv.weight"] *= 1.5
        weights["decoder.conv_out.weight"] *= 0.9
        weights["decoder.conv_out.bias"].fill_(-0.25)
    autoencoder.load_state_dict(weights)
    return autoencoder.eval()


def build_pipeline(folder: Path, null_text: torch.Tensor) -> DiffDISPipeline:
    """Build the fixture's whole pipeline; its native size is that of the recorded run."""
    schedule = json.loads((folder / "scheduler_config.json").read_text())
    assert schedule.items() <= SD_TURBO_SCHEDULE.items()
    return DiffDISPipeline(
        build_unet(folder),
        build_autoencoder(folder),
        DDPMScheduler(**schedule),
        null_text,
        native_size=256,
    )
