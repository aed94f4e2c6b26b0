"""The loss of the generative prior: latent diffusion with v-prediction."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch.nn import functional as F

from training.loop.trainer import Losses


def prior_losses(
    unet: UNet2DConditionModel,
    scheduler: DDPMScheduler,
    latents: torch.Tensor,
    null_text: torch.Tensor,
    rng: np.random.Generator,
) -> Losses:
    """Return the v-prediction loss of latents (B, 4, h, w) at random timesteps."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    timesteps = torch.from_numpy(rng.integers(0, 1000, len(latents))).to(latents.device)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    target = scheduler.get_velocity(latents, noise, timesteps)
    text = null_text.expand(len(latents), -1, -1)
    prediction = unet(noisy, timesteps, text).sample  # (B, 4, h, w)
    return {"loss": F.mse_loss(prediction.float(), target)}
