"""The diffusion arithmetic that both methods share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from segdemo.datatypes import InputError, RGBImage

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

    from segdemo.autoencoders import Autoencoder


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` takes CUDA, else MPS, else the CPU.

    Raises InputError for a device that this machine or this PyTorch does not have.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name.split(":")[0], False):
        there = ", ".join(kind for kind, present in available.items() if present)
        raise InputError(f"Device {name!r} is not available here; this machine offers: {there}.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"Device {name!r} is not a device's name: give cuda or cuda:1.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"Device {name!r}: this machine has {torch.cuda.device_count()} GPU(s).")
    return device


def square_tensor(image: RGBImage, side: int) -> torch.Tensor:
    """Squash an image to a square by Pillow's antialiased bilinear filter.

    Returns (1, 3, side, side) in [-1, 1].
    """
    squashed = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.asarray(squashed, np.float32) / 127.5 - 1)  # (S, S, 3)
    return values.permute(2, 0, 1)[None]  # (1, 3, S, S)


def encode_latents(autoencoder: Autoencoder, images: torch.Tensor) -> torch.Tensor:
    """Encode images to latents of about unit variance: the posterior's mean, where there is one.

    images: (B, 3, H, W) in [-1, 1], H and W multiples of 8. Returns (B, C, H/8, W/8).
    """
    encoded = autoencoder.encode(images.to(autoencoder.dtype))
    latents = encoded.latents if "latents" in encoded else encoded.latent_dist.mean
    return latents * autoencoder.config.scaling_factor  # (B, C, H/8, W/8)


def decode_latents(autoencoder: Autoencoder, latents: torch.Tensor) -> torch.Tensor:
    """Decode scaled latents (B, C, h, w) to images (B, 3, 8h, 8w), nominally in [-1, 1]."""
    latents = (latents / autoencoder.config.scaling_factor).to(autoencoder.dtype)
    return autoencoder.decode(latents).sample.float()  # (B, 3, 8h, 8w)


@contextmanager
def decoded_in_tiles(autoencoder: Autoencoder, latents: torch.Tensor, side: int) -> Iterator[None]:
    """Let an autoencoder that can do so decode larger latents than `side` in overlapping tiles."""
    if latents.shape[-1] <= side or not hasattr(autoencoder, "enable_tiling"):
        yield
        return
    names = ("tile_latent_min_size", "tile_sample_min_size")
    before = [getattr(autoencoder, name) for name in names]
    # those of its config are the size of its training: statistics of so small tiles differ
    for name, size in zip(names, (side, 8 * side), strict=True):
        setattr(autoencoder, name, size)
    autoencoder.enable_tiling()
    try:
        yield
    finally:
        autoencoder.disable_tiling()
        for name, size in zip(names, before, strict=True):
            setattr(autoencoder, name, size)


def add_noise(
    scheduler: DDPMScheduler, clean: torch.Tensor, noise: torch.Tensor, timestep: int
) -> torch.Tensor:
    """Return sqrt(abar_t) x0 + sqrt(1 - abar_t) noise, in fp32."""
    alpha = scheduler.alphas_cumprod[timestep].to(clean.device)
    return alpha.sqrt() * clean.float() + (1 - alpha).sqrt() * noise.float()


def ddim_step(
    scheduler: DDPMScheduler, noisy: torch.Tensor, clean: torch.Tensor, timestep: int, earlier: int
) -> torch.Tensor:
    """Go from one timestep to an earlier one by the noise that was found (DDIM), in fp32.

    noisy, clean: latents at `timestep`, and the estimate of x0 from them. Unlike fresh noise this
    keeps the answer a function of the starting noise; it is differentiable.
    """
    alpha = scheduler.alphas_cumprod[timestep].to(noisy.device)
    noise = (noisy - alpha.sqrt() * clean) / (1 - alpha).sqrt()
    return add_noise(scheduler, clean, noise, earlier)


def ancestral_step(
    scheduler: DDPMScheduler,
    noisy: torch.Tensor,
    clean: torch.Tensor,
    timestep: int,
    earlier: int,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Go from one timestep to an earlier one by DDPM's own step (DiffDIS eq. 3), in fp32.

    alpha_t of eq. 3 is the ratio of both cumulative products, so that timesteps may be left out;
    sigma_t is the posterior's, DDPM's smaller choice. The mean is written by the estimate of x0,
    which is the same as by the predicted noise. noise: standard Gaussian, of the latents' shape.
    """
    alphas = scheduler.alphas_cumprod.to(noisy.device)
    total, total_before = alphas[timestep], alphas[earlier]
    alpha = total / total_before
    rest, rest_before = 1 - total, 1 - total_before
    mean = (
        total_before.sqrt() * (1 - alpha) * clean.float()
        + alpha.sqrt() * rest_before * noisy.float()
    ) / rest
    return mean + ((1 - alpha) * rest_before / rest).sqrt() * noise


def predict_clean(
    scheduler: DDPMScheduler, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
) -> torch.Tensor:
    """Return the estimate of x0 from a network's output at one timestep.

    Understands the prediction types epsilon and v_prediction. Always in fp32: at timestep 999 of
    Stable Diffusion an error of the predicted noise grows 14.65 times on its way into x0.
    """
    alpha = scheduler.alphas_cumprod[timestep].to(noisy.device)
    noisy, prediction = noisy.float(), prediction.float()
    if scheduler.config.prediction_type == "v_prediction":
        return alpha.sqrt() * noisy - (1 - alpha).sqrt() * prediction
    return (noisy - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
