"""The noise that DiffDIS is trained with: multi-resolution (pyramid) noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from segdemo.diffdis.pipeline import denoising_timesteps

PYRAMID_DISCOUNT = 0.8
PYRAMID_LEVELS = 10


@dataclass(frozen=True)
class NoiseSampler:
    """Draws a batch's noise and timestep. tasks: 2 for mask and edge. steps: of denoising."""

    batch_size: int
    size: int
    tasks: int = 2
    steps: int = 1

    def __call__(self, rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        """Return noise (tasks * B, 4, size / 8, size / 8) and the timestep of this batch."""
        side = self.size // 8
        noise = pyramid_noise((self.tasks * self.batch_size, 4, side, side), rng)
        return noise, int(rng.choice(denoising_timesteps(self.steps)))


def pyramid_noise(shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
    """Draw multi-resolution noise of unit standard deviation; (B, C, h, w).

    Independent for every item: mask and edge get different noise in training.
    """
    sizes = pyramid_sizes(shape[-2:], lambda: float(rng.random()))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    base = torch.randn(shape, generator=generator)
    return sum_pyramid(base, [torch.randn(*shape[:2], *s, generator=generator) for s in sizes])


def pyramid_sizes(size: tuple[int, ...], uniform: Callable[[], float]) -> list[tuple[int, int]]:
    """Return the sizes of the noise levels: divided by r**i with r in [2, 4), compounding."""
    height, width = size[0], size[1]
    sizes = []
    for level in range(PYRAMID_LEVELS):
        ratio = (2 + 2 * uniform()) ** level
        height, width = max(1, int(height / ratio)), max(1, int(width / ratio))
        sizes.append((height, width))
        if 1 in (height, width):
            break
    return sizes


def sum_pyramid(base: torch.Tensor, levels: list[torch.Tensor]) -> torch.Tensor:
    """Add the enlarged and discounted levels to the base, and scale to unit deviation."""
    total = base
    for exponent, level in enumerate(levels):
        enlarged = F.interpolate(level, base.shape[-2:], mode="bilinear")
        total = total + PYRAMID_DISCOUNT**exponent * enlarged
    return total / total.std()  # (B, C, h, w)
