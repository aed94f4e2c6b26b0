"""A small, fast autoencoder for images, masks and edge maps: 3x3 convolutions, no normalisation.

Diffusers' `AutoencoderTiny` (TAESD) is built alike and called alike; that one convolves at full
resolution, which takes most of its time. Here the first convolution already sees `patch_size` x
`patch_size` pixels as channels (pixel unshuffle), and the last one writes them back.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Three convolutions beside a shortcut; begins as the identity of what is not negative."""

    def __init__(self, channels: int) -> None:
        """Make one of `channels` channels."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        nn.init.zeros_(self.body[-1].weight)
        nn.init.zeros_(self.body[-1].bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Keep the shape (B, C, H, W)."""
        return F.relu(hidden + self.body(hidden))


class CompactAutoencoder(ModelMixin, ConfigMixin):
    """Deterministic autoencoder; its latents have a standard deviation of about 1.

    patch_size: pixels a side that the first convolution sees as channels, a power of 2.
    block_out_channels: widths from the finest level (1/patch_size of the image) to that of the
    latents; each level halves the resolution. encoder_blocks, decoder_blocks: residual blocks of
    each level, in the same order. latent_limit: the decoder squashes latents smoothly to
    (-limit, limit), so that a diffusion network's outliers cannot blow up.
    """

    @register_to_config
    def __init__(
        self,
        patch_size: int = 2,
        latent_channels: int = 16,
        block_out_channels: tuple[int, ...] = (64, 64, 64),
        encoder_blocks: tuple[int, ...] = (1, 2, 2),
        decoder_blocks: tuple[int, ...] = (1, 2, 2),
        latent_limit: float = 3.0,
        scaling_factor: float = 1.0,
    ) -> None:
        """Make one with random weights."""
        super().__init__()
        pixels = 3 * patch_size**2
        widths = block_out_channels

        layers: list[nn.Module] = [
            nn.PixelUnshuffle(patch_size),
            nn.Conv2d(pixels, widths[0], 3, padding=1),
        ]
        for level, width in enumerate(widths):
            if level:
                layers.append(nn.Conv2d(widths[level - 1], width, 3, stride=2, padding=1))
            layers += [ResidualBlock(width) for _ in range(encoder_blocks[level])]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(widths[-1], latent_channels, 3, padding=1))

        layers = [nn.Conv2d(latent_channels, widths[-1], 3, padding=1), nn.ReLU()]
        for level, width in reversed(list(enumerate(widths))):
            layers += [ResidualBlock(width) for _ in range(decoder_blocks[level])]
            if level:
                layers += [
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(width, widths[level - 1], 3, padding=1),
                ]
        layers += [nn.Conv2d(widths[0], pixels, 3, padding=1), nn.PixelShuffle(patch_size)]
        self.decoder = nn.Sequential(*layers)

    @property
    def factor(self) -> int:
        """Pixels a side of one latent cell."""
        return int(self.config.patch_size * 2 ** (len(self.config.block_out_channels) - 1))

    def encode(self, x: torch.Tensor) -> AutoencoderTinyOutput:
        """Encode images (B, 3, H, W) in [-1, 1]; sides are multiples of `factor`.

        `.latents` is (B, latent_channels, H / factor, W / factor).
        """
        return AutoencoderTinyOutput(latents=self.encoder(x))

    def decode(self, x: torch.Tensor) -> DecoderOutput:
        """Decode latents (B, latent_channels, h, w).

        `.sample` is (B, 3, h * factor, w * factor), in [-1, 1] but for small overshoots.
        """
        limit = self.config.latent_limit
        return DecoderOutput(sample=self.decoder(limit * torch.tanh(x / limit)))

    def forward(self, sample: torch.Tensor) -> DecoderOutput:
        """Encode and decode images (B, 3, H, W)."""
        return self.decode(self.encode(sample).latents)
