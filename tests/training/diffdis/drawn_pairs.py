"""Folders of pictures with masks, drawn on the spot: a red disc on a coarse backdrop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = (72, 60)  # width, height


def draw_pairs(folder: Path, count: int, names: tuple[str, str] = ("im", "gt")) -> Path:
    """Write pictures as JPEG and masks as PNG into the two folders named."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
    for number in range(count):
        coarse = rng.integers(0, 200, (5, 6, 3), np.uint8)
        picture = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
        mask = Image.new("L", SIZE)
        left, top = (int(value) for value in rng.integers(4, 25, 2))
        box = (left, top, left + 30, top + 30)
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        ImageDraw.Draw(picture).ellipse(box, fill=(250, 20, 20))
        picture.save(folder / names[0] / f"{number:02d}#a.jpg")
        mask.save(folder / names[1] / f"{number:02d}#a.png")
    return folder
