"""The edge generator of stage 2 (Algorithm 3): a feature pyramid, then a small CNN.

The published version calls stage 2 One-Step Self-Distillation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from segdemo.diffegg.features import FeatureLevel

STRIDE = 4  # pixels of the image a cell of the output
FIRST_PROBABILITY = 0.1  # edges are rare: starting at 0.5, the first steps would only learn that


class EdgeGenerator(ModelMixin, ConfigMixin):
    """From a backbone's hidden states to edge logits at a quarter of the image's side.

    It may look at photo features as well, which are levels like the others.

    The paper says "FPN followed by a CNN"; this is UPerNet's without its pyramid pooling: each
    level by a 1x1 convolution to `channels`, coarse added to fine, a 3x3 convolution a level, all
    put side by side at the finest, then 3x3 convolutions, doubled in size until the stride is 4.
    """

    @register_to_config
    def __init__(
        self,
        levels: list[dict[str, Any]],
        channels: int = 256,
        size: int = 512,
        timestep: int = 0,
    ) -> None:
        """Make one with random weights.

        levels: the fields of each `FeatureLevel`, finest first. size: side in pixels at which
        images are looked at. timestep: the backbone's; at 0 latents are free of noise.
        """
        super().__init__()
        levels = sorted(levels, key=lambda level: level["stride"])
        groups = math.gcd(channels, 32)
        # layers differ by orders of magnitude in what they put out
        self.norms = nn.ModuleList(nn.GroupNorm(1, level["width"]) for level in levels)
        self.laterals = nn.ModuleList(nn.Conv2d(level["width"], channels, 1) for level in levels)
        self.smooths = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in levels)
        self.merge = _block(channels * len(levels), channels, groups)
        doublings = max(0, round(math.log2(levels[0]["stride"] / STRIDE)))
        self.blocks = nn.ModuleList(
            _block(channels, channels, groups) for _ in range(doublings + 1)
        )
        self.head = nn.Conv2d(channels, 1, 1)
        odds = FIRST_PROBABILITY / (1 - FIRST_PROBABILITY)
        nn.init.constant_(self.head.bias, math.log(odds))

    @property
    def levels(self) -> list[FeatureLevel]:
        """What it looks at, finest first."""
        found = [FeatureLevel(**level) for level in self.config.levels]
        return sorted(found, key=lambda level: level.stride)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return logits (B, 1, S/4, S/4) of maps (B, width, h, w), finest first."""
        pyramid = [
            lateral(norm(_channels_first(values.to(lateral.weight.dtype))))  # (B, channels, h, w)
            for norm, lateral, values in zip(self.norms, self.laterals, maps, strict=True)
        ]
        for fine in range(len(pyramid) - 2, -1, -1):
            pyramid[fine] = pyramid[fine] + _resized(pyramid[fine + 1], pyramid[fine])
        smooth = [layer(level) for layer, level in zip(self.smooths, pyramid, strict=True)]
        merged = torch.cat([_resized(level, smooth[0]) for level in smooth], 1)
        values = self.blocks[0](self.merge(merged))  # (B, channels, h, w) of the finest
        for block in self.blocks[1:]:
            values = block(F.interpolate(values, scale_factor=2, mode="bilinear"))
        return self.head(values)


def edge_probability(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return probabilities (B, H, W) of logits (B, 1, h, w)."""
    return F.interpolate(logits.float(), size, mode="bilinear").sigmoid()[:, 0]


def _block(width: int, channels: int, groups: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, padding=1, bias=False),
        nn.GroupNorm(groups, channels),
        nn.ReLU(),
    )


def _channels_first(values: torch.Tensor) -> torch.Tensor:
    """Copy maps (B, C, h, w) whose channels lie last, as those of tokens do.

    Of such that need no gradient, PyTorch's group normalisation crashes in its backward pass. A
    copy, because `contiguous` takes maps of a single cell for what they are not.
    """
    return values.clone(memory_format=torch.contiguous_format)


def _resized(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(values, like.shape[-2:], mode="bilinear")
