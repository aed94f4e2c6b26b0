"""Batches of pairs: read, varied, mixed, with the noise that they are trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from segdemo.diffdis.pipeline import denoising_timesteps
from segdemo.images import load_rgb, mask_contour
from training.diffdis.augmentation import Planes, augment, squash
from training.diffdis.cutmix import cutmix, draw_boxes
from training.diffdis.losses import pyramid_noise
from training.diffdis.pairs import Pair, load_grey
from training.loop.sampling import Draw


@dataclass(frozen=True, eq=False)
class PairBatch:
    """planes: (B, 5, S, S) in [-1, 1], red, green, blue, mask, edge. noise: (tasks * B, 4, s, s).

    timestep: the one that the latents are made noisy for.
    """

    planes: torch.Tensor
    noise: torch.Tensor
    timestep: int


@dataclass(frozen=True)
class NoiseDraws:
    """What a batch draws besides pictures. tasks: 2 for mask and edge. steps: of denoising."""

    batch_size: int
    size: int
    tasks: int = 2
    steps: int = 1

    def __call__(self, rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        """Return noise (tasks * B, 4, size / 8, size / 8) and the timestep of this batch."""
        side = self.size // 8
        noise = pyramid_noise((self.tasks * self.batch_size, 4, side, side), rng)
        return noise, int(rng.choice(denoising_timesteps(self.steps)))


@dataclass(frozen=True)
class PairBatches:
    """Makes a draw's batch of pictures; sent to worker processes, hence no open files."""

    pairs: list[Pair]
    noise: NoiseDraws
    augmented: bool = True
    mixed: bool = True
    stretched: bool = True

    def __call__(self, draw: Draw) -> PairBatch:
        """Read, vary, squash and mix (CutMix) the draw's pictures."""
        rng, size = draw.rng, self.noise.size
        chosen = [self.pairs[i] for i in draw.items(len(self.pairs), self.noise.batch_size)]
        items = []
        for pair in chosen:
            planes = read_planes(pair)
            planes = augment(planes, rng) if self.augmented else planes
            items.append(torch.from_numpy(squash(planes, size, self.stretched)))
        batch = torch.stack(items)  # (B, 5, S, S)
        if self.mixed:
            batch = cutmix(batch, torch.from_numpy(draw_boxes(len(batch), size, rng)))
        noise, timestep = self.noise(rng)
        return PairBatch(batch, noise, timestep)


def read_planes(pair: Pair) -> Planes:
    """Read a pair; the edge map is its contour file's, else the band along the mask's outline."""
    mask = load_grey(pair.mask)
    edge = load_grey(pair.contour) if pair.contour else mask_contour(mask)
    parts = (load_rgb(pair.image), mask, edge)
    return Planes(*(Image.fromarray(part) for part in parts))
