"""Stable Diffusion 3: a transformer (MM-DiT) of image and text tokens, trained by flow matching."""

from __future__ import annotations

import torch
from torch import nn

from segdemo.diffegg.backbones.base import spread_scales
from segdemo.diffegg.backbones.noising import FlowDenoiser


class MMDiTBackbone(FlowDenoiser):
    """Stable Diffusion 3 and 3.5: image and text tokens in one attention, flow matching."""

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the joint `attn` of every block and, in some, `attn2` of the image alone."""
        return {
            f"transformer_blocks.{number}.{kind}": module
            for number, block in enumerate(self.network.transformer_blocks)
            for kind, module in (("attn", block.attn), ("attn2", block.attn2))
            if module is not None
        }

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
