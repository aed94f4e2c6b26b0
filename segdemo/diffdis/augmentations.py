"""Ways of looking at an image whose answers are averaged: mirrored, and at other sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from segdemo.diffdis.settings import SIDE_MULTIPLE


@dataclass(frozen=True)
class Augmentation:
    """One way of looking at an image: mirrored or not, at a multiple of the working size."""

    flip: bool
    scale: float

    def size(self, side: int) -> int:
        """Return the scaled side, rounded to what the U-Net's three halvings allow."""
        return max(1, round(side * self.scale / SIDE_MULTIPLE)) * SIDE_MULTIPLE

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Mirror and scale square images (B, C, S, S)."""
        side = images.shape[-1]
        images = images.flip(-1) if self.flip else images
        return resized(images, self.size(side))

    def undo(self, maps: torch.Tensor, side: int) -> torch.Tensor:
        """Bring maps (B, C, s, s) of a varied image back to (B, C, side, side)."""
        maps = resized(maps, side)
        return maps.flip(-1) if self.flip else maps


def resized(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Bring square maps (B, C, s, s) to (B, C, side, side)."""
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, (side, side), mode="bilinear")


PLAIN: tuple[Augmentation, ...] = (Augmentation(flip=False, scale=1.0),)
MIRRORED = (*PLAIN, Augmentation(flip=True, scale=1.0))
AUGMENTED = tuple(
    Augmentation(flip, scale) for flip in (False, True) for scale in (0.75, 1.0, 1.25)
)
"""The six augmentations at test time, in the official order."""
