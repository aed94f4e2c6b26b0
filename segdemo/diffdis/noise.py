"""The noise of DiffDIS: one Gaussian for mask and edge, or multi-resolution (pyramid) noise.

Alg. 1 and section 4.4 print the first, for training and for inference. The official code trains
with the second, drawn independently for mask and edge, and tests with the first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

PYRAMID_DISCOUNT = 0.8
PYRAMID_LEVELS = 10


def shared_noise(tasks: int, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draw Gaussian noise that all tasks share; (tasks * B, C, h, w) for a shape (B, C, h, w)."""
    return torch.randn(shape, generator=generator).repeat(tasks, 1, 1, 1)


def pyramid_noise(shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
    """Draw multi-resolution noise of unit standard deviation; (B, C, h, w).

    Independent for every item: mask and edge get different noise.
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
