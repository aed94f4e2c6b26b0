"""Batches of images with masks: read, augmented, mixed, with the noise of their training step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image

from segdemo.images import load_rgb, mask_contour
from training.diffdis.augmentation import Planes, augment, squash
from training.diffdis.cutmix import cutmix, draw_boxes
from training.diffdis.noise import NoiseSampler
from training.diffdis.pairs import ImageMaskPair, load_grey
from training.loop.sampling import BatchIndex


@dataclass(frozen=True, eq=False)
class PairBatch:
    """planes: (B, 5, S, S) in [-1, 1], red, green, blue, mask, edge. noise: (tasks * B, 4, s, s).

    timesteps: the noise level of the latents, and of those that follow where steps are unrolled.
    """

    planes: torch.Tensor
    noise: torch.Tensor
    timesteps: tuple[int, ...]


@dataclass(frozen=True)
class PairBatches:
    """Makes batches of images; sent to worker processes, hence no open files."""

    pairs: list[ImageMaskPair]
    noise: NoiseSampler
    augmented: bool = True
    mixed: bool = True
    stretched: bool = True

    def __call__(self, index: BatchIndex) -> PairBatch:
        """Read, augment, squash and mix (CutMix) a batch's images."""
        rng, size = index.rng, self.noise.size
        chosen = [self.pairs[i] for i in index.items(len(self.pairs), self.noise.batch_size)]
        items = []
        for pair in chosen:
            planes = read_planes(pair)
            planes = augment(planes, rng) if self.augmented else planes
            items.append(torch.from_numpy(squash(planes, size, self.stretched)))
        batch = torch.stack(items)  # (B, 5, S, S)
        if self.mixed:
            batch = cutmix(batch, torch.from_numpy(draw_boxes(len(batch), size, rng)))
        return PairBatch(batch, *self.noise(rng))


def read_planes(pair: ImageMaskPair) -> Planes:
    """Read a pair; without a contour file, the edge map is the band along the mask's outline."""
    mask = load_grey(pair.mask)
    edge = load_grey(pair.contour) if pair.contour else mask_contour(mask)
    parts = (load_rgb(pair.image), mask, edge)
    return Planes(*(Image.fromarray(part) for part in parts))
