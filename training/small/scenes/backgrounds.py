"""Backgrounds of pasted objects: gradients, and photographs with hardly any subject.

Where the material has no photographs, coloured noise of several scales stands for them.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from training.small.scenes.crops import crop, jitter_colors, random_crop
from training.small.scenes.material import Material


def background(material: Material, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a photograph with hardly any subject, or, one time in ten, a gradient."""
    kind = rng.random()
    if kind < 0.1:
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        image = Image.fromarray(corners).resize((size, size), Image.Resampling.BICUBIC)
    elif kind < 0.28:
        image = background_crop(material, size, rng)
    else:
        # some show objects, which beside the pasted subject are background
        image = calm_crop(material, size, 0.08 if kind > 0.8 else 0.02, rng)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return jitter_colors(image, rng, strength=0.3)


def background_crop(material: Material, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a random window of a random plain photograph."""
    if not material.backgrounds:
        return _noise(size, rng)
    return random_crop(
        Image.open(material.backgrounds[rng.integers(len(material.backgrounds))]), size, rng
    )


def calm_crop(material: Material, size: int, most: float, rng: np.random.Generator) -> Image.Image:
    """Find a window of a labelled photograph of which objects cover less than the share `most`."""
    for _ in range(4):
        pool = material.photos if rng.random() < 0.7 else material.people
        pool = pool or material.photos or material.people
        if not pool:
            break
        photo = pool[rng.integers(len(pool))]
        things = np.asarray(Image.open(photo.labels)) > 0
        height, width = things.shape
        for _ in range(8):
            w, h = (int(side * rng.uniform(0.3, 0.95)) for side in (width, height))
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            window = (left, top, left + w, top + h)
            if crop(things, window).mean() < most:
                image = Image.open(photo.image).convert("RGB").crop(window)
                return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return background_crop(material, size, rng)


def _noise(size: int, rng: np.random.Generator) -> Image.Image:
    """Return random colours at four scales, each finer one weaker than the one before."""
    total = np.zeros((size, size, 3), np.float32)
    for octave in range(4):
        side = min(size, 2 << (2 * octave))
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        total += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)) / 2.0**octave
    return Image.fromarray((total / total.max() * 255).astype(np.uint8))
