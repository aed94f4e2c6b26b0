"""EfficientNet-Lite, an image classifier trained on ImageNet, as a feature extractor.

A small model lacks what a large text-to-image model knows of objects. The model with photo features
adds these features to the hidden states of DiffDIS on their way down, and shows them to the edge
generator of DiffEGG, beside the denoiser's hidden states.
Layout and weights after "EfficientNet" (Tan and Le, ICML 2019) in its Lite form: no
squeeze-and-excitation, ReLU6, the stem's width is not scaled.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

STEM = 32
BLOCKS = (
    # kernel, stride, expansion, width, repeats of Lite0
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of values in [0, 1]."""

PHOTO_FEATURES_WEIGHTS = Path(__file__).parent / "assets" / "small-imagenet" / "photo_features"


class PhotoFeatures(ModelMixin, ConfigMixin):
    """The convolutional part of an EfficientNet-Lite; Lite2 by default, 4.4 M parameters."""

    @register_to_config
    def __init__(self, width: float = 1.1, depth: float = 1.2) -> None:
        """Make one with random weights; width and depth: multiples of Lite0's."""
        super().__init__()
        self.stem = _convolution(3, STEM, 3, stride=2)
        self.blocks = nn.ModuleList()
        self.ends: list[int] = []  # the last block of every stride from 4 on
        self.widths: list[int] = []
        channels = STEM
        for index, (kernel, stride, expansion, wanted, repeats) in enumerate(BLOCKS):
            # the first and the last group keep their number of blocks
            last_or_first = index in (0, len(BLOCKS) - 1)
            count = repeats if last_or_first else math.ceil(depth * repeats)
            out = _rounded(wanted * width)
            for repeat in range(count):
                block = _Block(channels, out, kernel, stride if repeat == 0 else 1, expansion)
                self.blocks.append(block)
                channels = out
            if index in (1, 2, 4, 6):
                self.ends.append(len(self.blocks) - 1)
                self.widths.append(out)

    @property
    def strides(self) -> tuple[float, ...]:
        """Pixels of the image that a cell of each map stands for."""
        return tuple(4.0 * 2**level for level in range(len(self.widths)))

    @property
    def condition_widths(self) -> tuple[int, int, int, int]:
        """Channels of `conditions`, finest first."""
        first, second, third, last = self.widths
        return 4 * first + second, third, last, last

    def conditions(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return maps at 1/8, 1/16, 1/32 and 1/64 of images (B, 3, S, S) in [-1, 1].

        Those are the sizes at which a U-Net over latents works. At 1/8 the four cells at 1/4 lie
        side by side in front; at 1/64 it is the average of 1/32.
        """
        quarter, eighth, *rest = self(images)
        finest = torch.cat([F.pixel_unshuffle(quarter, 2), eighth], 1)  # (B, 4 c0 + c1, S/8, S/8)
        return finest, *rest, F.avg_pool2d(rest[-1], 2)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return maps at 1/4, 1/8, 1/16 and 1/32 of images (B, 3, S, S) in [-1, 1]."""
        mean = torch.tensor(MEAN).to(images)[:, None, None]
        deviation = torch.tensor(DEVIATION).to(images)[:, None, None]
        values = self.stem(((images + 1) / 2 - mean) / deviation)  # (B, 32, S/2, S/2)
        maps = []
        for index, block in enumerate(self.blocks):
            values = block(values)
            if index in self.ends:
                maps.append(values)
        return maps


class _Block(nn.Module):
    """Widen, filter each channel, narrow; with a residual where the shape stays."""

    def __init__(self, width: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = width * expansion
        self.layers = nn.Sequential(
            *([_convolution(width, inner, 1)] if expansion > 1 else []),
            _convolution(inner, inner, kernel, stride, groups=inner),
            _convolution(inner, out, 1, activation=False),
        )
        self.residual = stride == 1 and width == out

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        filtered = self.layers(values)
        return values + filtered if self.residual else filtered


class SameConvolution(nn.Conv2d):
    """A convolution padded as TensorFlow does: for even sides, one more at the end."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return (B, out, ceil(H / stride), ceil(W / stride))."""
        padding: list[int] = []
        for side, kernel, stride in zip(
            values.shape[:-3:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(values, padding) if any(padding) else values)


def _convolution(
    width: int, out: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        SameConvolution(width, out, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6()] if activation else []))


def _rounded(width: float, divisor: int = 8) -> int:
    """Round a width to a multiple of 8, but never by more than a tenth downwards."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor
