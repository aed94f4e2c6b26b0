"""Stable Diffusion with a U-Net, of which every transformer block begins with self-attention."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import nn

from segdemo.diffegg.backbones.base import EncodedPrompt
from segdemo.diffegg.backbones.noising import ScheduledDenoiser


class UNetBackbone(ScheduledDenoiser):
    """Stable Diffusion 1, 2, Turbo, XL and our own small model."""

    lora_prefix = "unet"

    def __init__(
        self,
        name: str,
        native_size: int,
        network: UNet2DConditionModel,
        autoencoder: AutoencoderKL,
        null_text: EncodedPrompt,
        scheduler: DDPMScheduler,
    ) -> None:
        """Put the parts together.

        null_text: the empty prompt; its pooled vector is what XL wants, together with the size of
        an uncropped image.
        """
        super().__init__(name, native_size, network, autoencoder, null_text, scheduler)
        # original size, crop corner, target size
        sizes = [native_size, native_size, 0, 0, native_size, native_size]
        self._sizes = torch.tensor([sizes], device=network.device, dtype=torch.float32)

    @property
    def patch_size(self) -> int:
        """Return 1: tokens are latents; lower layers see their grid halved one or more times."""
        return 1

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return `attn1` of every transformer block: down, middle, up."""
        stages = ("down_blocks", "mid_block", "up_blocks")
        found = [entry for entry in self.network.named_modules() if entry[0].endswith(".attn1")]
        # diffusers registers the middle last
        return dict(sorted(found, key=lambda entry: stages.index(entry[0].split(".")[0])))

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the noise or the velocity, whichever it was trained for."""
        batch, pooled = noisy.shape[0], self._prompt.pooled
        added = {} if pooled is None else {"text_embeds": pooled, "time_ids": self._sizes}
        output = self.network(
            noisy.to(self.network.dtype),
            timestep,
            encoder_hidden_states=self._prompt.tokens.expand(batch, -1, -1),
            added_cond_kwargs={name: kept.expand(batch, -1) for name, kept in added.items()},
        )
        return output.sample.float()  # (B, C, h, w)

    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the last self-attention of every block, down, middle and up."""
        last: dict[str, str] = {}
        for name in self.attention_layers():
            stage = name.split(".attentions.")[0]  # such as up_blocks.2
            last[stage] = name
        return [(name, 1.0) for name in last.values()]
