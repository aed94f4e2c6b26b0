"""U2NetP with prompts: the finer half of its encoder sees the image only, the rest the prompt too.

So the costly features at 1/1 and 1/2 are computed once an image window, and every further click
costs about half of a pass. They keep U2NetP's weights; the block at full resolution on the way up,
half of that network's work, gives way to three small convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from segdemo.prompting.prompts import CHANNELS
from segdemo.u2netp import DEPTHS, DilatedBlock, PooledBlock, U2NetP, normalize

IMAGE_BLOCKS = 2  # blocks of the encoder that do not see the prompt


@dataclass(frozen=True, eq=False)
class PromptOutput:
    """Logits of B prompts, (B, 1, S, S); coarse_logits: those of every coarser level, resized."""

    logits: torch.Tensor
    coarse_logits: list[torch.Tensor]


class PromptedU2Net(ModelMixin, ConfigMixin):
    """From a window of an image and prompt maps to the masks of the objects that are meant."""

    @register_to_config
    def __init__(
        self, channels: int = 64, inner_channels: int = 16, head_channels: int = 16
    ) -> None:
        """Make one with random weights; the widths are U2NetP's and that of the head."""
        super().__init__()
        wide, inner = channels, inner_channels
        self.image_encoder = nn.ModuleList(
            [PooledBlock(DEPTHS[0], 3, inner, wide), PooledBlock(DEPTHS[1], wide, inner, wide)]
        )
        self.encoder = nn.ModuleList(
            [PooledBlock(depth, wide, inner, wide) for depth in DEPTHS[IMAGE_BLOCKS:]]
            + [DilatedBlock(wide, inner, wide) for _ in range(2)]
        )
        self.decoder = nn.ModuleList(
            [PooledBlock(depth, 2 * wide, inner, wide) for depth in DEPTHS[1:]]
            + [DilatedBlock(2 * wide, inner, wide)]
        )
        self.side = nn.ModuleList(nn.Conv2d(wide, 1, 3, padding=1) for _ in range(5))
        # one for the skip at 1/2 and one for the entrance of every block that sees the prompt
        self.prompts = nn.ModuleList(_zero_convolution(wide) for _ in range(1 + len(self.encoder)))
        self.fine = nn.Conv2d(wide, head_channels, 1)
        self.coarse = nn.Conv2d(wide, head_channels, 1)
        self.head = nn.Sequential(
            nn.Conv2d(2 * head_channels + CHANNELS, head_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(head_channels, head_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(head_channels, 1, 3, padding=1),
        )
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)

    @classmethod
    def from_u2netp(cls, network: U2NetP) -> PromptedU2Net:
        """Start from U2NetP's weights; prompts and head change nothing until they are trained."""
        width, inner = network.config.channels, network.config.inner_channels
        prompted = cls(width, inner)
        for own, theirs in (
            (prompted.image_encoder, network.encoder[:IMAGE_BLOCKS]),
            (prompted.encoder, network.encoder[IMAGE_BLOCKS:]),
            (prompted.decoder, network.decoder[1:]),
            (prompted.side, network.side[1:]),
        ):
            own.load_state_dict(theirs.state_dict())
        return prompted

    def encode(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of windows (B, 3, S, S) in [-1, 1] at 1/1 and 1/2."""
        first, second = self.image_encoder
        full = first(normalize(images))  # (B, C, S, S)
        return [full, second(_pool(full))]

    def forward(self, features: list[torch.Tensor], prompts: torch.Tensor) -> PromptOutput:
        """Find objects. prompts: (k * B, 4, S, S) for B windows, the k of a window together."""
        repeats = len(prompts) // len(features[0])
        full, half = (values.repeat_interleave(repeats, 0) for values in features)
        levels = [F.avg_pool2d(prompts, 2)]  # 1/2, 1/4 .. 1/32
        for _ in self.encoder:
            levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
        skips = [half + self.prompts[0](levels[0])]
        hidden = half
        for block, convolution, level in zip(
            self.encoder, list(self.prompts)[1:], levels[1:], strict=True
        ):
            hidden = block(_pool(hidden) + convolution(level))
            skips.append(hidden)

        maps = [self.side[-1](hidden)]
        for block, side, skip in zip(
            reversed(self.decoder), reversed(self.side[:-1]), reversed(skips[:-1]), strict=True
        ):
            hidden = block(torch.cat([_resized(hidden, skip.shape), skip], 1))
            maps.insert(0, side(hidden))
        coarse = [_resized(values, full.shape) for values in maps]  # (kB, 1, S, S) each
        seen = [self.fine(full), _resized(self.coarse(hidden), full.shape), prompts]
        return PromptOutput(coarse[0] + self.head(torch.cat(seen, 1)), coarse)


def _zero_convolution(width: int) -> nn.Conv2d:
    convolution = nn.Conv2d(CHANNELS, width, 3, padding=1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    return convolution


def _pool(values: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(values, 2, 2, ceil_mode=True)


def _resized(values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return F.interpolate(values, shape[-2:], mode="bilinear", align_corners=False)
