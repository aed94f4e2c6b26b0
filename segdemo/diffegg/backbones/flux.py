"""FLUX.1: joint attention of text and image, first in two streams, then in one; flow matching."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from segdemo.diffegg.backbones.noising import FlowDenoiser

PATCH = 2  # latents along a side of a token
GUIDANCE = 1.0  # what the distilled model (dev) is told: none


class FluxBackbone(FlowDenoiser):
    """FLUX.1, whose attention has the text's tokens before the image's."""

    @property
    def first_image_token(self) -> int:  # type: ignore[override]
        """The number of the prompt's tokens."""
        return self._prompt.tokens.shape[1]

    @property
    def patch_size(self) -> int:
        """Latents along a side of a token."""
        return PATCH

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return `attn` of every block: those of two streams, then those of one."""
        return {
            f"{stage}.{number}.attn": block.attn
            for stage in ("transformer_blocks", "single_transformer_blocks")
            for number, block in enumerate(getattr(self.network, stage))
        }

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the flow, noise minus clean latents."""
        batch, (rows, columns) = noisy.shape[0], self.token_grid(noisy)
        prompt, dtype, device = self._prompt, self.network.dtype, noisy.device
        assert prompt.pooled is not None
        places = torch.zeros(rows, columns, 3, device=device)
        places[..., 1] = torch.arange(rows, device=device)[:, None]
        places[..., 2] = torch.arange(columns, device=device)
        output = self.network(
            F.pixel_unshuffle(noisy.to(dtype), PATCH).flatten(2).transpose(1, 2),  # (B, n, 4C)
            encoder_hidden_states=prompt.tokens.expand(batch, -1, -1),
            pooled_projections=prompt.pooled.expand(batch, -1),
            timestep=torch.full((batch,), timestep / 1000, device=device),
            img_ids=places.flatten(0, 1).to(dtype),
            txt_ids=torch.zeros(self.first_image_token, 3, device=device, dtype=dtype),
            guidance=self._guidance(batch, device),
        )
        tokens = output.sample.float().transpose(1, 2).unflatten(2, (rows, columns))
        return F.pixel_shuffle(tokens, PATCH)  # (B, C, h, w)

    def _guidance(self, batch: int, device: torch.device) -> torch.Tensor | None:
        if not self.network.config.guidance_embeds:
            return None
        return torch.full((batch,), GUIDANCE, device=device)
