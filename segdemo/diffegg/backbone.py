"""Text-to-image models as DiffEGG sees them: encode, add noise, run once, name the attention."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn


class Backbone(ABC):
    """A denoiser with its autoencoder, noising rule and empty prompt.

    name: what the user called it. native_size: side in pixels it was trained at. network: the
    denoiser. autoencoder: from pictures to latents.
    """

    name: str
    native_size: int
    network: nn.Module

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the network lives."""

    @abstractmethod
    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the self-attention modules by name, in the network's order."""

    @abstractmethod
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, S, S) in [-1, 1] to the scaled posterior mean (B, C, S/8, S/8), float32."""

    @abstractmethod
    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the latents at a timestep in 0 .. 999, by the family's own rule, float32."""

    @abstractmethod
    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Run the denoiser once on (B, C, h, w) with the empty prompt, without guidance."""

    @abstractmethod
    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return (h, w) of the picture's tokens at full resolution for latents (B, C, h, w)."""
