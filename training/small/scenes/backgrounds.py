"""What lies behind pasted objects: gradients, and photographs with hardly a subject."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from training.small.scenes.crops import crop, crop_to, recolour
from training.small.scenes.material import Material


def backdrop(material: Material, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a photograph with hardly a subject of its own, or, one time in ten, a gradient."""
    kind = rng.random()
    if kind < 0.1:
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        picture = Image.fromarray(corners).resize((size, size), Image.Resampling.BICUBIC)
    elif kind < 0.28:
        picture = backdrop_crop(material, size, rng)
    else:
        # some hold things, which beside the pasted subject are none
        picture = calm_crop(material, size, 0.08 if kind > 0.8 else 0.02, rng)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return recolour(picture, rng, strength=0.3)


def backdrop_crop(material: Material, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a random window of a random plain photograph."""
    return crop_to(Image.open(material.backdrops[rng.integers(len(material.backdrops))]), size, rng)


def calm_crop(material: Material, size: int, most: float, rng: np.random.Generator) -> Image.Image:
    """Find a window of a labelled photograph of which objects cover less than the share `most`."""
    for _ in range(4):
        pool = material.photos if rng.random() < 0.7 else material.people
        photo = pool[rng.integers(len(pool))]
        things = np.asarray(Image.open(photo.labels)) > 0
        height, width = things.shape
        for _ in range(8):
            w, h = (int(side * rng.uniform(0.3, 0.95)) for side in (width, height))
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            window = (left, top, left + w, top + h)
            if crop(things, window).mean() < most:
                picture = Image.open(photo.image).convert("RGB").crop(window)
                return picture.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return backdrop_crop(material, size, rng)
