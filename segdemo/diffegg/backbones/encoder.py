"""Vision transformers: DINO, DINOv2, the image encoders of CLIP and SigLIP (Table 3)."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from segdemo.diffegg.backbones.base import InjectedAdapter

ATTENTION = re.compile(r"layers?\.\d+\.(attention|self_attn)$")
PROBE_PATCHES = 4


class EncoderBackbone(InjectedAdapter):
    """A vision transformer, run once on an image without noise: its "latents" are pixels."""

    lora_prefix = "encoder"

    def __init__(
        self,
        name: str,
        native_size: int,
        network: Any,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        class_tokens: int,
    ) -> None:
        """Put the parts together.

        mean, std: of the colors that it was trained on. class_tokens: tokens before the patches
        that stand for the whole image, or for nothing (registers).
        """
        super().__init__(name, native_size, network)
        self.first_image_token = class_tokens
        self._mean = torch.tensor(mean, device=self.device)[:, None, None]
        self._std = torch.tensor(std, device=self.device)[:, None, None]
        # DINOv2 enlarges its position embeddings unasked
        asks = not network.config.model_type.startswith("dinov2")
        self._options = {"interpolate_pos_encoding": True} if asks else {}

    @property
    def pixels_per_latent(self) -> int:
        """Return 1: the network takes pixels."""
        return 1

    @property
    def patch_size(self) -> int:
        """Pixels along a side of a patch."""
        return int(getattr(self.network.config, "vision_config", self.network.config).patch_size)

    def probe(self) -> torch.Tensor:
        """Return black pixels of four patches a side."""
        side = PROBE_PATCHES * self.patch_size
        return torch.zeros(1, 3, side, side, device=self.device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize (B, 3, S, S) in [-1, 1], resized to the nearest whole number of patches."""
        side = max(1, round(images.shape[-1] / self.patch_size)) * self.patch_size
        if side != images.shape[-1]:
            images = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
        return ((images.float() + 1) / 2 - self._mean) / self._std  # (B, 3, side, side)

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the attention of every layer."""
        return {n: m for n, m in self.network.named_modules() if ATTENTION.search(n)}

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the patches' last hidden states (B, D, h, w); there is no timestep."""
        output = self.network(noisy.to(self.network.dtype), **self._options)
        patches = output.last_hidden_state[:, self.first_image_token :].float()  # (B, h*w, D)
        return patches.transpose(1, 2).unflatten(2, self.token_grid(noisy))

    def enable_gradient_checkpointing(self) -> None:
        """Keep less for the backward pass and compute it again there."""
        self.network.gradient_checkpointing_enable()
