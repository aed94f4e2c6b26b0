"""DiffEGG's interface to a text-to-image model: encode, add noise, run once, name attention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import AutoencoderKL
from torch import nn

from segdemo.diffusion import encode_latents


class Backbone(ABC):
    """A denoiser with its autoencoder, noising rule and empty prompt.

    name: what the user called it. native_size: side in pixels it was trained at. network: the
    denoiser. autoencoder: from images to latents. has_adapter: the network has a LoRA adapter,
    disabled outside of `adapted`. All steps are differentiable.
    """

    has_adapter = False

    def __init__(
        self, name: str, native_size: int, network: nn.Module, autoencoder: AutoencoderKL
    ) -> None:
        """Put the parts together."""
        self.name = name
        self.native_size = native_size
        self.network = network.eval()
        self.autoencoder = autoencoder.eval()

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, S, S) in [-1, 1] to the scaled posterior mean (B, C, S/8, S/8), float32."""
        config = self.autoencoder.config
        shift = (config.shift_factor or 0.0) * config.scaling_factor  # (mean - shift) * scale
        return encode_latents(self.autoencoder, images).float() - shift  # (B, C, S/8, S/8)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents of `encode` to images (B, 3, S, S), nominally in [-1, 1], float32."""
        config = self.autoencoder.config
        unscaled = latents / config.scaling_factor + (config.shift_factor or 0.0)
        return self.autoencoder.decode(unscaled.to(self.autoencoder.dtype)).sample.float()

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side of the image that one latent stands for."""
        return 2 ** (len(self.autoencoder.config.block_out_channels) - 1)

    @contextmanager
    def adapted(self) -> Iterator[None]:
        """Let the network have its adapter for a while.

        Attention is looked into without it: it was trained on edges of that very attention.
        """
        if self.has_adapter:
            self.network.enable_adapters()
        try:
            yield
        finally:
            if self.has_adapter:
                self.network.disable_adapters()

    @abstractmethod
    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the self-attention modules by name, in the order they run."""

    @abstractmethod
    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the self-attention modules that edges are generated from, with their scale.

        A scale of 2 means that its map is doubled in size.
        """

    @abstractmethod
    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the latents at a timestep in 0 .. 999, by the family's own rule, float32."""

    @abstractmethod
    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Run the denoiser once on (B, C, h, w) with the empty prompt, without guidance, float32.

        What it predicts, noise, velocity or flow, is the family's affair: see `target`.
        """

    @abstractmethod
    def target(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return what `predict` is trained to return for latents with this noise, float32."""

    @abstractmethod
    def predict_clean(
        self, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
    ) -> torch.Tensor:
        """Return the estimate of the clean latents from what `predict` returned, float32."""

    @abstractmethod
    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return (h, w) of the image's tokens at full resolution for latents (B, C, h, w)."""
