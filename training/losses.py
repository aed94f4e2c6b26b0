"""What the networks are trained to do: noise schedules and losses of both diffusion stages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch.nn import functional as F

from segdemo.diffdis.pipeline import LAST_TIMESTEP, DiffDISPipeline
from segdemo.diffusion import add_noise
from training.loop import Losses

PYRAMID_DISCOUNT = 0.8
PYRAMID_LEVELS = 10


def pyramid_noise(shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
    """Draw multi-resolution noise of one standard deviation, as DiffDIS is trained with; (B,C,h,w).

    Independent for every item: mask and edge get different noise in training.
    """
    sizes = pyramid_sizes(shape[-2:], lambda: float(rng.random()))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    base = torch.randn(shape, generator=generator)
    return sum_pyramid(base, [torch.randn(*shape[:2], *s, generator=generator) for s in sizes])


def pyramid_sizes(size: tuple[int, ...], uniform: Callable[[], float]) -> list[tuple[int, int]]:
    """Return the sizes of the noise levels: divided by r**i with r in [2, 4), compounding."""
    height, width = size[0], size[1]
    sizes = []
    for level in range(PYRAMID_LEVELS):
        ratio = (2 + 2 * uniform()) ** level
        height, width = max(1, int(height / ratio)), max(1, int(width / ratio))
        sizes.append((height, width))
        if 1 in (height, width):
            break
    return sizes


def sum_pyramid(base: torch.Tensor, levels: list[torch.Tensor]) -> torch.Tensor:
    """Add the enlarged levels to the base, each by its discount, and scale to unit deviation."""
    total = base
    for exponent, level in enumerate(levels):
        enlarged = F.interpolate(level, base.shape[-2:], mode="bilinear")
        total = total + PYRAMID_DISCOUNT**exponent * enlarged
    return total / total.std()  # (B, C, h, w)


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


def diffdis_losses(
    pipeline: DiffDISPipeline,
    latents: torch.Tensor,
    condition_pyramid: tuple[torch.Tensor, ...],
    mask_latents: torch.Tensor,
    edge_latents: torch.Tensor,
    noise: torch.Tensor,
    timestep: int = LAST_TIMESTEP,
) -> Losses:
    """Return the error of the one step in latent space, mask and edge weighted alike (eq. 5).

    latents, mask_latents, edge_latents: (B, 4, h, w). noise: (2B, 4, h, w). The official code
    shows each picture to the injectors' BatchNorm twice, once for each half of the batch. A network
    without the edge task has B items, and no error of edges.
    """
    target = torch.cat([mask_latents, edge_latents][: pipeline.tasks])  # (2B, 4, h, w)
    noisy = add_noise(pipeline.scheduler, target, noise, timestep)
    pyramid = tuple(level.repeat(pipeline.tasks, 1, 1, 1) for level in condition_pyramid)
    clean = pipeline.denoise(latents, pyramid, noisy, timestep)
    if pipeline.tasks == 1:
        return {"loss": F.mse_loss(clean, mask_latents)}
    mask, edge = clean.chunk(2)
    loss_mask, loss_edge = F.mse_loss(mask, mask_latents), F.mse_loss(edge, edge_latents)
    return {"loss": loss_mask + loss_edge, "mask": loss_mask, "edge": loss_edge}
