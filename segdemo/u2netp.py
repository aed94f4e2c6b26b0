"""U2NetP: a small salient object detector, and its features.

Layout after "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection" (Qin et
al., Pattern Recognition 2020), the small variant of 1.1 M weights, batch norms folded into the
convolutions. The weights in `assets/u2netp` are the authors' (trained on DUTS-TR, Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

MEAN, STANDARD_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of values in [0, 1]."""

U2NETP_WEIGHTS = Path(__file__).parent / "assets" / "u2netp"

DEPTHS = (7, 6, 5, 4)
"""Resolutions inside the first four blocks; the last two blocks dilate instead of pooling."""


@dataclass(frozen=True, eq=False)
class U2NetOutput:
    """What the network says of B images.

    logits: (B, 1, H, W), the fused map before the sigmoid. side_logits: the six maps it is fused
    from, (B, 1, H, W) each, finest first. encoder: (B, C, h, w) at 1, 1/2 .. 1/32 of the image.
    decoder: the same at 1 .. 1/16.
    """

    logits: torch.Tensor
    side_logits: list[torch.Tensor]
    encoder: list[torch.Tensor]
    decoder: list[torch.Tensor]


class U2NetP(ModelMixin, ConfigMixin):
    """A U-shaped network of U-shaped blocks, from an image to a map of its subject.

    channels: width of the features between blocks. inner_channels: width inside the blocks.
    """

    @register_to_config
    def __init__(self, channels: int = 64, inner_channels: int = 16) -> None:
        """Make one with random weights."""
        super().__init__()
        wide, inner = channels, inner_channels
        self.encoder = nn.ModuleList(
            [PooledBlock(DEPTHS[0], 3, inner, wide)]
            + [PooledBlock(depth, wide, inner, wide) for depth in DEPTHS[1:]]
            + [DilatedBlock(wide, inner, wide) for _ in range(2)]
        )
        self.decoder = nn.ModuleList(
            [PooledBlock(depth, 2 * wide, inner, wide) for depth in DEPTHS]
            + [DilatedBlock(2 * wide, inner, wide)]
        )
        self.side = nn.ModuleList(nn.Conv2d(wide, 1, 3, padding=1) for _ in self.encoder)
        self.fuse = nn.Conv2d(len(self.encoder), 1, 1)

    def forward(self, images: torch.Tensor) -> U2NetOutput:
        """Look at images (B, 3, H, W) in [-1, 1] of any size."""
        return self.decode(self.encode(normalize(images)))

    @property
    def condition_widths(self) -> tuple[int, int, int, int]:
        """Channels of what `conditions` returns, finest first."""
        width = int(self.config.channels)
        return 3 * width, 2 * width, width, width

    def conditions(self, output: U2NetOutput) -> tuple[torch.Tensor, ...]:
        """Return features at 1/8, 1/16, 1/32 and 1/64, where a U-Net over latents works.

        Encoder and decoder lie side by side where both exist; at 1/8 the decoder's at 1/4 join
        them, averaged; at 1/64 it is the average of 1/32.
        """
        encoder, decoder = output.encoder, output.decoder
        return (
            torch.cat([encoder[3], decoder[3], F.avg_pool2d(decoder[2], 2)], 1),
            torch.cat([encoder[4], decoder[4]], 1),
            encoder[5],
            F.avg_pool2d(encoder[5], 2),
        )

    def encode(self, hidden: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of normalized images, at 1, 1/2 .. 1/32."""
        features: list[torch.Tensor] = []
        for block in self.encoder:
            hidden = block(_pool(hidden) if features else hidden)
            features.append(hidden)
        return features

    def decode(self, encoder: list[torch.Tensor]) -> U2NetOutput:
        """Go back up from the encoder's features to the maps."""
        hidden = encoder[-1]
        decoder: list[torch.Tensor] = []
        for block, skip in zip(reversed(self.decoder), reversed(encoder[:-1]), strict=True):
            hidden = block(torch.cat([_resized_to(hidden, skip), skip], 1))
            decoder.insert(0, hidden)
        features = [*decoder, encoder[-1]]
        side = [conv(values) for conv, values in zip(self.side, features, strict=True)]
        side = [_resized_to(values, encoder[0]) for values in side]  # (B, 1, H, W) each
        return U2NetOutput(self.fuse(torch.cat(side, 1)), side, encoder, decoder)


class PooledBlock(nn.Module):
    """A U-shaped residual block (RSU): `depth` - 1 resolutions and a dilated convolution below."""

    def __init__(self, depth: int, channels: int, inner: int, out: int) -> None:
        """Make one of `depth` levels, from `channels` channels to `out`."""
        super().__init__()
        self.first = _convolution(channels, out)
        widths = [out] + [inner] * (depth - 1)
        self.down = nn.ModuleList(
            [_convolution(before, after) for before, after in pairwise(widths)]
            + [_convolution(inner, inner, dilation=2)]
        )
        self.up = nn.ModuleList(_convolution(2 * inner, width) for width in widths[:-1])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (B, out, H, W) of values (B, channels, H, W)."""
        shortcut = hidden = self.first(values)
        skips: list[torch.Tensor] = []
        for convolution in self.down[:-1]:
            hidden = convolution(_pool(hidden) if skips else hidden)
            skips.append(hidden)
        hidden = self.down[-1](hidden)
        for convolution, skip in zip(reversed(self.up), reversed(skips), strict=True):
            hidden = convolution(torch.cat([_resized_to(hidden, skip), skip], 1))
        return hidden + shortcut


class DilatedBlock(nn.Module):
    """The same at one resolution: wider and wider dilation in place of pooling (RSU-4F)."""

    def __init__(self, channels: int, inner: int, out: int) -> None:
        """Make one from `channels` channels to `out`."""
        super().__init__()
        self.first = _convolution(channels, out)
        self.down = nn.ModuleList(
            [_convolution(out, inner)]
            + [_convolution(inner, inner, dilation=dilation) for dilation in (2, 4, 8)]
        )
        self.up = nn.ModuleList(
            [_convolution(2 * inner, out)]
            + [_convolution(2 * inner, inner, dilation=dilation) for dilation in (2, 4)]
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (B, out, H, W) of values (B, channels, H, W)."""
        shortcut = hidden = self.first(values)
        skips: list[torch.Tensor] = []
        for convolution in self.down:
            hidden = convolution(hidden)
            skips.append(hidden)
        for convolution, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            hidden = convolution(torch.cat([hidden, skip], 1))
        return hidden + shortcut


def normalize(images: torch.Tensor) -> torch.Tensor:
    """Scale images (B, 3, H, W) in [-1, 1] as the weights expect.

    Each is divided by its largest value, then ImageNet's mean and standard deviation apply.
    """
    values = (images + 1) / 2
    values = values / values.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)
    mean = torch.tensor(MEAN).to(images)[:, None, None]
    return (values - mean) / torch.tensor(STANDARD_DEVIATION).to(images)[:, None, None]


def _convolution(channels: int, out: int, dilation: int = 1) -> nn.Sequential:
    # in place: at full resolution a copy of 64 channels is 26 MB an image
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)
    )


def _pool(values: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(values, 2, 2, ceil_mode=True)


def _resized_to(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if values.shape[-2:] == like.shape[-2:]:
        return values
    return F.interpolate(values, like.shape[-2:], mode="bilinear", align_corners=False)
