"""Text-to-image models as DiffEGG sees them: encode, add noise, run once, name the attention."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from diffusers import AutoencoderKL, DDPMScheduler, SD3Transformer2DModel, UNet2DConditionModel
from torch import nn

from segdemo.diffusion import add_noise, encode_latents


class Backbone(ABC):
    """A denoiser with its autoencoder, noising rule and empty prompt.

    name: what the user called it. native_size: side in pixels it was trained at. network: the
    denoiser. autoencoder: from pictures to latents. All steps are differentiable.
    """

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
        """Where the network lives."""
        return next(self.network.parameters()).device

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, S, S) in [-1, 1] to the scaled posterior mean (B, C, S/8, S/8), float32."""
        config = self.autoencoder.config
        shift = (config.shift_factor or 0.0) * config.scaling_factor  # (mean - shift) * scale
        return encode_latents(self.autoencoder, pictures).float() - shift  # (B, C, S/8, S/8)

    @abstractmethod
    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the self-attention modules by name, in the order they run."""

    @abstractmethod
    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the latents at a timestep in 0 .. 999, by the family's own rule, float32."""

    @abstractmethod
    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Run the denoiser once on (B, C, h, w) with the empty prompt, without guidance, float32.

        What it predicts, noise, velocity or flow, is the family's affair: attention is read on the
        way and the output is compared with nothing.
        """

    @abstractmethod
    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return (h, w) of the picture's tokens at full resolution for latents (B, C, h, w)."""


class UNetBackbone(Backbone):
    """Stable Diffusion 1, 2, Turbo, XL and our own small model."""

    def __init__(
        self,
        name: str,
        native_size: int,
        network: UNet2DConditionModel,
        autoencoder: AutoencoderKL,
        scheduler: DDPMScheduler,
        null_text: torch.Tensor,
        null_pooled: torch.Tensor | None = None,
    ) -> None:
        """Put the parts together.

        null_text: the empty prompt, (1, n, D). null_pooled: the same in one vector, (1, P), which
        XL wants together with the size of an uncropped picture.
        """
        super().__init__(name, native_size, network, autoencoder)
        self._scheduler = scheduler
        self._null_text = null_text.to(network.device, network.dtype)
        self._added: dict[str, torch.Tensor] = {}
        if null_pooled is not None:
            # original size, crop corner, target size
            sizes = [native_size, native_size, 0, 0, native_size, native_size]
            self._added = {
                "text_embeds": null_pooled.to(network.device, network.dtype),
                "time_ids": torch.tensor([sizes], device=network.device, dtype=torch.float32),
            }

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return `attn1` of every transformer block: down, middle, up."""
        stages = ("down_blocks", "mid_block", "up_blocks")
        found = [entry for entry in self.network.named_modules() if entry[0].endswith(".attn1")]
        # diffusers registers the middle last
        return dict(sorted(found, key=lambda entry: stages.index(entry[0].split(".")[0])))

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return sqrt(abar_t) x0 + sqrt(1 - abar_t) noise."""
        return add_noise(self._scheduler, latents, noise, timestep)

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the noise or the velocity, whichever it was trained for."""
        batch = noisy.shape[0]
        output = self.network(
            noisy.to(self.network.dtype),
            timestep,
            encoder_hidden_states=self._null_text.expand(batch, -1, -1),
            added_cond_kwargs={name: kept.expand(batch, -1) for name, kept in self._added.items()},
        )
        return output.sample.float()  # (B, C, h, w)

    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return the latents' own grid; layers below it see it halved once or several times."""
        return latents.shape[-2], latents.shape[-1]


class MMDiTBackbone(Backbone):
    """Stable Diffusion 3 and 3.5: picture and text tokens in one attention, flow matching."""

    def __init__(
        self,
        name: str,
        native_size: int,
        network: SD3Transformer2DModel,
        autoencoder: AutoencoderKL,
        null_text: torch.Tensor,
        null_pooled: torch.Tensor,
    ) -> None:
        """Put the parts together; null_text (1, n, D), null_pooled (1, P): the empty prompt."""
        super().__init__(name, native_size, network, autoencoder)
        self._null_text = null_text.to(network.device, network.dtype)
        self._null_pooled = null_pooled.to(network.device, network.dtype)

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the joint `attn` of every block and, in some, `attn2` of the picture alone."""
        return {
            f"transformer_blocks.{number}.{kind}": module
            for number, block in enumerate(self.network.transformer_blocks)
            for kind, module in (("attn", block.attn), ("attn2", block.attn2))
            if module is not None
        }

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return (1 - s) x0 + s noise with s = timestep / 1000.

        The scheduler's shift is left out: it only spaces the steps of sampling.
        """
        level = timestep / 1000
        return (1 - level) * latents.float() + level * noise.float()

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the flow, noise minus clean latents."""
        batch = noisy.shape[0]
        output = self.network(
            noisy.to(self.network.dtype),
            encoder_hidden_states=self._null_text.expand(batch, -1, -1),
            pooled_projections=self._null_pooled.expand(batch, -1),
            timestep=torch.full((batch,), float(timestep), device=noisy.device),
        )
        return output.sample.float()  # (B, C, h, w)

    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return the grid of patches."""
        patch = self.network.config.patch_size
        return latents.shape[-2] // patch, latents.shape[-1] // patch
