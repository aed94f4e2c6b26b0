"""Stable Diffusion 3: a transformer (MM-DiT) of image and text tokens, trained by flow matching."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from torch import nn

from segdemo.diffegg.backbones.base import Denoiser, EncodedPrompt, spread_scales


class MMDiTBackbone(Denoiser):
    """Stable Diffusion 3 and 3.5: image and text tokens in one attention, flow matching."""

    def __init__(
        self,
        name: str,
        native_size: int,
        network: SD3Transformer2DModel,
        autoencoder: AutoencoderKL,
        null_text: EncodedPrompt,
    ) -> None:
        """Put the parts together; null_text: the empty prompt, with its pooled vector."""
        super().__init__(name, native_size, network, autoencoder, null_text)

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the joint `attn` of every block and, in some, `attn2` of the image alone."""
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
        batch, pooled = noisy.shape[0], self._prompt.pooled
        assert pooled is not None
        output = self.network(
            noisy.to(self.network.dtype),
            encoder_hidden_states=self._prompt.tokens.expand(batch, -1, -1),
            pooled_projections=pooled.expand(batch, -1),
            timestep=torch.full((batch,), float(timestep), device=noisy.device),
        )
        return output.sample.float()  # (B, C, h, w)

    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the joint attention of four blocks, evenly spaced; the earliest is the finest."""
        return spread_scales([name for name in self.attention_layers() if name.endswith(".attn")])

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return noise minus clean latents."""
        return noise.float() - latents.float()

    def predict_clean(
        self, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
    ) -> torch.Tensor:
        """Return x_s - s * flow; at timestep 0 these are the latents themselves."""
        return noisy.float() - timestep / 1000 * prediction.float()

    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return the grid of patches."""
        patch = self.network.config.patch_size
        return latents.shape[-2] // patch, latents.shape[-1] // patch
