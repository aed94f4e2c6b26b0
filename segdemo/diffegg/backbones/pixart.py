"""PixArt-alpha: a transformer whose self-attention sees the image alone, with DDPM's noise."""

from __future__ import annotations

import torch
from torch import nn

from segdemo.diffegg.backbones.base import InjectedAdapter
from segdemo.diffegg.backbones.noising import ScheduledDenoiser


class PixArtBackbone(InjectedAdapter, ScheduledDenoiser):
    """PixArt-alpha; text is seen by cross-attention."""

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return `attn1` of every block."""
        return {
            f"transformer_blocks.{number}.attn1": block.attn1
            for number, block in enumerate(self.network.transformer_blocks)
        }

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the noise; the variance that the network gives beside it is left out."""
        batch, device = noisy.shape[0], noisy.device
        output = self.network(
            noisy.to(self.network.dtype),
            encoder_hidden_states=self._prompt.tokens.expand(batch, -1, -1),
            timestep=torch.full((batch,), timestep, device=device),
            added_cond_kwargs=self._sizes(noisy),
        )
        return output.sample[:, : noisy.shape[1]].float()  # (B, C, h, w)

    def _sizes(self, noisy: torch.Tensor) -> dict[str, torch.Tensor | None]:
        """Return what models of 1024 pixels are told of the image: its size and shape."""
        if not self.network.use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        batch, dtype = noisy.shape[0], self.network.dtype
        sides = [side * self.pixels_per_latent for side in noisy.shape[-2:]]
        resolution = torch.tensor(sides, device=noisy.device, dtype=dtype)
        ratio = torch.tensor([sides[0] / sides[1]], device=noisy.device, dtype=dtype)
        return {"resolution": resolution.expand(batch, -1), "aspect_ratio": ratio.expand(batch, -1)}
