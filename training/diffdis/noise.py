"""The noise and the timesteps of a training batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from segdemo.diffdis.denoising import ONE_STEP, find_denoising
from segdemo.diffdis.noise import pyramid_noise, shared_noise


@dataclass(frozen=True)
class NoiseSampler:
    """Draws a batch's noise and timesteps.

    tasks: 2 for mask and edge. denoising: a paradigm's name. kind: pyramid, or gaussian, as Alg. 1
    prints it.
    """

    batch_size: int
    size: int
    tasks: int = 2
    denoising: str = ONE_STEP
    kind: str = "pyramid"

    def __call__(self, rng: np.random.Generator) -> tuple[torch.Tensor, tuple[int, ...]]:
        """Return noise (tasks * B, 4, size / 8, size / 8) and the timesteps of this batch."""
        side = self.size // 8
        if self.kind == "pyramid":
            noise = pyramid_noise((self.tasks * self.batch_size, 4, side, side), rng)
        else:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            noise = shared_noise(self.tasks, (self.batch_size, 4, side, side), generator)
        return noise, find_denoising(self.denoising).draw(rng)
