"""The losses of stage 2: Dice against pseudo-edges, and reconstruction by the denoiser.

L = reconstruction + Dice over the certain pixels (DiffEGG, section 4.3 and Algorithm 3).
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from segdemo.datatypes import PseudoEdge
from segdemo.diffegg.backbones.base import Backbone, Denoiser
from segdemo.diffegg.features import HiddenStates

RECONSTRUCTIONS = {
    "denoise": "the denoiser's own training loss at a timestep drawn from 1 to 100, another pass",
    "latent": "as printed: mean square of clean minus reconstructed latents, same pass; at "
    "timestep 0 next to nothing for Stable Diffusion and exactly nothing for flow models",
    "pixel": "the same of images, which the autoencoder decodes",
    "none": "no reconstruction",
}
LAST_DENOISED = 100
TINY = 1e-6


def masked_dice(
    probability: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Dice loss of each image's certain pixels, averaged, and how many counted.

    probability: (B, H, W) in [0, 1]. labels: (B, H, W) as `PseudoEdge.labels`. An image without an
    edge or without an interior pixel does not count: without interior, "edge everywhere" would have
    no loss at all, and a run of such images collapses to it. Without any image the loss is 0.
    """
    labels = labels.flatten(1)
    edge, certain = labels == PseudoEdge.EDGE, labels != PseudoEdge.UNCERTAIN
    usable = edge.any(1) & (labels == PseudoEdge.INTERIOR).any(1)
    predicted = probability.float().flatten(1) * certain  # (B, H * W)
    shared = (predicted * edge).sum(1)
    dice = 1 - 2 * shared / (edge.sum(1) + predicted.square().sum(1) + TINY)
    # predicted * 0, not 0: every process must have gradients to share
    total = torch.where(usable, dice, predicted.sum(1) * 0).sum()
    return total / usable.sum().clamp(min=1), usable.sum()


def masked_cross_entropy(probability: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy over certain pixels, in nats; 0 where there is none.

    probability: (B, H, W) in [0, 1]. labels: (B, H, W) as `PseudoEdge.labels`.
    """
    certain = labels != PseudoEdge.UNCERTAIN
    clipped = probability.float().clamp(TINY, 1 - TINY)
    chance = torch.where(labels == PseudoEdge.EDGE, clipped, 1 - clipped)
    return -(chance.log() * certain).sum() / certain.sum().clamp(min=1)


def relabel(
    labels: torch.Tensor, probability: torch.Tensor, sure_edge: float, sure_interior: float
) -> torch.Tensor:
    """Return labels (B, H, W) whose uncertain pixels follow a confident prediction.

    Certain pixels never change: a prediction must not overrule its own training labels.
    """
    uncertain = labels == PseudoEdge.UNCERTAIN
    labels = labels.masked_fill(uncertain & (probability > sure_edge), PseudoEdge.EDGE)
    return labels.masked_fill(uncertain & (probability < sure_interior), PseudoEdge.INTERIOR)


def reconstruction_loss(
    kind: str,
    backbone: Backbone,
    images: torch.Tensor,
    latents: torch.Tensor,
    noisy: torch.Tensor,
    states: HiddenStates,
    timestep: int,
) -> torch.Tensor:
    """Return one of `RECONSTRUCTIONS`, a mean square; 0 for a backbone that reconstructs nothing.

    images: (B, 3, S, S) in [-1, 1]. latents: of them, (B, C, h, w). noisy: of them at `timestep`,
    which `states` is of. Randomness is PyTorch's own, on the CPU.
    """
    if kind == "none" or not isinstance(backbone, Denoiser):
        return torch.zeros((), device=latents.device)
    if kind == "denoise":
        drawn = int(torch.randint(1, LAST_DENOISED + 1, ()))  # one for the batch
        noise = torch.randn(latents.shape).to(latents)
        prediction = backbone.predict(backbone.add_noise(latents, noise, drawn), drawn)
        return F.mse_loss(prediction, backbone.target(latents, noise, drawn))
    clean = backbone.predict_clean(noisy, states.prediction, timestep)  # (B, C, h, w)
    if kind == "latent":
        return F.mse_loss(clean, latents.float())
    return F.mse_loss(backbone.decode(clean), images.float())
