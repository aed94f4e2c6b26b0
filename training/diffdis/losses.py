"""What the networks are trained to do: noise schedules and losses of both diffusion stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch.nn import functional as F

from segdemo.diffdis.pipeline import LAST_TIMESTEP, DiffDISPipeline
from segdemo.diffusion import add_noise, decode_latents
from training.loop.trainer import Losses

PYRAMID_DISCOUNT = 0.8
PYRAMID_LEVELS = 10
PART = 16  # latents along a side of the part whose pixels are compared


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
    pixels: PixelTask | None = None,
) -> Losses:
    """Return the error of the one step in latent space, mask and edge weighted alike (eq. 5).

    latents, mask_latents, edge_latents: (B, 4, h, w). noise: (2B, 4, h, w). The official code
    shows each picture to the injectors' BatchNorm twice, once for each half of the batch. A network
    without the edge task has B items, and no error of edges. pixels: adds what the decoded masks
    lack, which the paper does not.
    """
    target = torch.cat([mask_latents, edge_latents][: pipeline.tasks])  # (2B, 4, h, w)
    noisy = add_noise(pipeline.scheduler, target, noise, timestep)
    injected = len(pipeline.unet.injectors)  # what follows are photo features, without BatchNorm
    pyramid = tuple(level.repeat(pipeline.tasks, 1, 1, 1) for level in condition_pyramid[:injected])
    pyramid += condition_pyramid[injected:]
    clean = pipeline.denoise(latents, pyramid, noisy, timestep)
    mask = clean[: len(mask_latents)]  # (B, 4, h, w)
    losses = {"mask": F.mse_loss(mask, mask_latents)}
    if pipeline.tasks == 2:
        losses["edge"] = F.mse_loss(clean[len(mask_latents) :], edge_latents)
    total = torch.stack(list(losses.values())).sum()
    if pixels is not None:
        losses["pixel"] = pixel_loss(pipeline, mask, pixels)
        total = total + pixels.weight * losses["pixel"]
    return {"loss": total, **losses}


@dataclass(frozen=True, eq=False)
class PixelTask:
    """The masks that latents stand for, and how much their pixels count.

    masks: (B, S, S) uint8, 255 is subject. rng: draws the part that is looked at.
    """

    masks: torch.Tensor
    weight: float
    rng: np.random.Generator


def pixel_loss(
    pipeline: DiffDISPipeline, mask_latents: torch.Tensor, task: PixelTask
) -> torch.Tensor:
    """Return mean absolute error plus 1 - IoU of decoded masks, in one part of all pictures.

    mask_latents: (B, 4, h, w). Errors in latents are blind to where a mask's outline is drawn soft.
    Only `PART` x `PART` latents are decoded: decoding costs several times the network, and the
    small autoencoder has learnt from parts of that size. Both terms lie in [0, 1].
    """
    side = min(PART, *mask_latents.shape[-2:])
    top, left = (int(task.rng.integers(s - side + 1)) for s in mask_latents.shape[-2:])
    part = mask_latents[..., top : top + side, left : left + side]
    decoded = decode_latents(pipeline.autoencoder, part).float().mean(1)  # (B, 8 side, 8 side)
    factor = task.masks.shape[-1] // mask_latents.shape[-1]
    rows, columns = (slice(s * factor, (s + side) * factor) for s in (top, left))
    truth = task.masks[:, rows, columns].to(decoded) / 255
    found = (decoded.clip(-1, 1) + 1) / 2
    both, either = (found * truth).sum((1, 2)), (found + truth - found * truth).sum((1, 2))
    seen = truth.amax((1, 2)) > 0  # without subject there is no share of it to be found
    iou = torch.where(seen, both / either.clamp_min(1), torch.ones_like(both))
    return (found - truth).abs().mean() + (1 - iou).mean()
