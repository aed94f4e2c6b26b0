"""DiffDIS's losses: mask and edge in latent space, and optionally the decoded masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffusion import add_noise, decode_latents
from training.diffdis.latents import EncodedBatch
from training.loop.trainer import Losses

CROP = 16  # latents along a side of the crop whose pixels are compared


def diffdis_losses(
    pipeline: DiffDISPipeline, batch: EncodedBatch, pixels: PixelTargets | None = None
) -> Losses:
    """Return the error of the clean latents, mask and edge weighted alike (eq. 5).

    Of several timesteps all steps are taken, as at test by DDIM, and the last one's error counts:
    its gradients reach every step.
    The official code shows each image to the injectors' BatchNorm twice, once for each half of the
    batch. A network without the edge task has B items, and no edge loss. pixels: adds a loss of the
    decoded masks, which the paper does not have.
    """
    latents = batch.latents
    target = torch.cat([latents.mask, latents.edge][: pipeline.tasks])  # (2B, 4, h, w)
    noisy = add_noise(pipeline.scheduler, target, batch.noise, batch.timesteps[0])
    injected = len(pipeline.unet.injectors)  # what follows are photo features, without BatchNorm
    pyramid = tuple(level.repeat(pipeline.tasks, 1, 1, 1) for level in latents.pyramid[:injected])
    pyramid += latents.pyramid[injected:]
    clean = pipeline.denoise_steps(latents.image, pyramid, noisy, batch.timesteps)  # (2B, 4, h, w)
    mask = clean[: len(latents.mask)]  # (B, 4, h, w)
    losses = {"mask": F.mse_loss(mask, latents.mask)}
    if pipeline.tasks == 2:
        losses["edge"] = F.mse_loss(clean[len(latents.mask) :], latents.edge)
    total = torch.stack(list(losses.values())).sum()
    if pixels is not None:
        losses["pixel"] = pixel_loss(pipeline, mask, pixels)
        total = total + pixels.weight * losses["pixel"]
    return {"loss": total, **losses}


@dataclass(frozen=True, eq=False)
class PixelTargets:
    """The masks that the latents encode, and the weight of their pixels' loss.

    masks: (B, S, S) uint8, 255 is subject. rng: draws the crop that is compared.
    """

    masks: torch.Tensor
    weight: float
    rng: np.random.Generator


def pixel_loss(
    pipeline: DiffDISPipeline, mask_latents: torch.Tensor, targets: PixelTargets
) -> torch.Tensor:
    """Return mean absolute error plus 1 - IoU of decoded masks, in one crop of all images.

    mask_latents: (B, 4, h, w). Errors of latents hardly notice where a mask's outline is soft. Only
    `CROP` x `CROP` latents are decoded: decoding costs several times the network, and the small
    autoencoder was trained on crops of that size. Both terms lie in [0, 1].
    """
    side = min(CROP, *mask_latents.shape[-2:])
    top, left = (int(targets.rng.integers(s - side + 1)) for s in mask_latents.shape[-2:])
    crop = mask_latents[..., top : top + side, left : left + side]
    decoded = decode_latents(pipeline.autoencoder, crop).float().mean(1)  # (B, 8 side, 8 side)
    factor = targets.masks.shape[-1] // mask_latents.shape[-1]
    rows, columns = (slice(s * factor, (s + side) * factor) for s in (top, left))
    truth = targets.masks[:, rows, columns].to(decoded) / 255
    predicted = (decoded.clip(-1, 1) + 1) / 2
    intersection, union = (
        (predicted * truth).sum((1, 2)),
        (predicted + truth - predicted * truth).sum((1, 2)),
    )
    has_subject = truth.amax((1, 2)) > 0  # IoU is undefined without one
    iou = torch.where(has_subject, intersection / union.clamp_min(1), torch.ones_like(union))
    return (predicted - truth).abs().mean() + (1 - iou).mean()
