"""CutMix for dichotomous segmentation: a box of the partner's image, mask and edge is pasted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

CHANCE = 0.5
AREA = (0.02, 0.4)  # share of the image
ASPECT = (0.3, 1 / 0.3)  # height over width


def draw_boxes(count: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw a box for every second item on average; (count, size, size), True inside the box."""
    boxes = np.zeros((count, size, size), bool)
    for box in boxes:
        if rng.random() >= CHANCE:
            continue
        area = rng.uniform(*AREA) * size * size
        while True:  # redraw shape and place until the box fits
            aspect = rng.uniform(*ASPECT)
            width, height = int(np.sqrt(area / aspect)), int(np.sqrt(area * aspect))
            left, top = rng.integers(0, size, 2)
            if left + width <= size and top + height <= size:
                box[top : top + height, left : left + width] = True
                break
    return boxes


def cutmix(maps: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Fill each item's box with the same region of its partner (items 0 and 1, 2 and 3, ...).

    maps: (B, C, H, W), B even. boxes: (B, H, W), non-zero inside. Images, masks and edge maps
    are all mixed by this; no edge is drawn along the pasted border.
    """
    partners = maps.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)  # (B, C, H, W)
    return torch.where(boxes[:, None] > 0, partners, maps)
