"""LLaVA: what image tokens see in each other inside the language model (Table 3, Figs. J, Q)."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from segdemo.diffegg.backbones.base import EncodedImagePrompt
from segdemo.diffegg.backbones.encoder import EncoderBackbone

ATTENTION = re.compile(r"language_model\.layers\.\d+\.self_attn$")


class LlavaBackbone(EncoderBackbone):
    """A vision-language model that is asked about an image, run once and without noise.

    Its attention is causal: it is recorded without the mask (see `record_attention`). The image
    always has the size of the vision tower.
    """

    def __init__(
        self,
        name: str,
        native_size: int,
        network: Any,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        prompt: EncodedImagePrompt,
    ) -> None:
        """Put the parts together; prompt: what it is asked, with room for the image's tokens."""
        super().__init__(name, native_size, network, mean, std, prompt.first_image_token)
        self._tokens = prompt.tokens.to(self.device)
        self._side = int(network.config.vision_config.image_size)

    def probe(self) -> torch.Tensor:
        """Return black pixels of the only size there is."""
        return torch.zeros(1, 3, self._side, self._side, device=self.device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Normalize (B, 3, S, S) in [-1, 1], resized to the vision tower's size."""
        if images.shape[-1] != self._side:
            size = (self._side, self._side)
            images = F.interpolate(images, size, mode="bicubic", antialias=True)
        return super().encode(images)

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the attention of every layer of the language model."""
        return {n: m for n, m in self.network.named_modules() if ATTENTION.search(n)}

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the image tokens' last hidden states (B, D, h, w); there is no timestep."""
        rows, columns = self.token_grid(noisy)
        output = self.network.model(
            input_ids=self._tokens.expand(len(noisy), -1),
            pixel_values=noisy.to(self.network.dtype),
            use_cache=False,
        )
        image = slice(self.first_image_token, self.first_image_token + rows * columns)
        tokens = output.last_hidden_state[:, image].float()  # (B, h*w, D)
        return tokens.transpose(1, 2).unflatten(2, (rows, columns))
