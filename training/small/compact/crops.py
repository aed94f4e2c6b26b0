"""Crops of photos, masks and edge maps for the autoencoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from segdemo.images import mask_contour
from training.small.compact.material import CompactMaterial
from training.small.scenes.material import IGNORED_INSTANCE, draw_silhouette, load_silhouettes

Pixels = npt.NDArray[np.uint8]
KINDS = {"photo": 0.25, "mask": 0.5, "edge": 0.25}
MASK_SOURCES = {"file": 0.3, "cutout": 0.2, "instance": 0.25, "icon": 0.1, "strokes": 0.15}


class CropSource:
    """Draws crops of a material's files. size: side of the crops in pixels."""

    def __init__(self, material: CompactMaterial, size: int) -> None:
        """List the files; the silhouettes are read."""
        self._material, self._size = material, size
        self._photos, self._masks = material.photos, material.masks
        self._icons = load_silhouettes(material.icons) if material.icons else []

    def batch(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        """Return (count, 3, size, size) in [-1, 1]."""
        crops = np.stack([self._crop(rng) for _ in range(count)])
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _crop(self, rng: np.random.Generator) -> Pixels:
        kind = rng.choice(list(KINDS), p=list(KINDS.values()))
        if kind == "photo":
            photo = Image.open(self._photos[rng.integers(len(self._photos))]).convert("RGB")
            pixels = np.asarray(random_window(photo, self._size, rng))
        else:
            mask = self._mask_window(rng)
            plane = mask_contour(mask) if kind == "edge" else mask
            pixels = np.repeat(plane[..., None], 3, axis=-1)
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels

    def _mask_window(self, rng: np.random.Generator) -> Pixels:
        """Cut a window of a mask; most windows without a border are drawn again."""
        for _ in range(4):
            window = np.asarray(random_window(self._mask(rng), self._size, rng))
            if np.ptp(window) > 100 or rng.random() < 0.1:
                break
        return window

    def _mask(self, rng: np.random.Generator) -> Image.Image:
        """Draw a whole mask; half of them are reduced."""
        source = rng.choice(list(MASK_SOURCES), p=list(MASK_SOURCES.values()))
        if source == "icon" and self._icons:
            outline = self._icons[rng.integers(len(self._icons))]
            mask = draw_silhouette(outline, int(rng.integers(192, 513)))
        elif source == "strokes":
            mask = strokes(2 * self._size, rng)
        elif source == "instance":
            pair = self._material.instances[rng.integers(len(self._material.instances))]
            mask = instance_mask(pair.labels, rng)
        elif source == "cutout":
            file = self._material.cutouts[rng.integers(len(self._material.cutouts))]
            mask = Image.open(file).convert("RGBA").getchannel("A")
        else:
            mask = Image.open(self._masks[rng.integers(len(self._masks))]).convert("L")
        return shrunk(mask, self._size, rng) if rng.random() < 0.5 else mask


def shrunk(mask: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Reduce a whole mask to 0.4 to 1.6 of a crop's side, on an empty crop where it is smaller.

    Small objects are what an autoencoder loses first: their parts are thin.
    """
    side = int(size * rng.uniform(0.4, 1.6))
    small = mask.resize((side, side), Image.Resampling.BILINEAR)
    if side >= size:
        return small
    canvas = Image.new("L", (size, size))
    left, top = rng.integers(0, size - side + 1, 2)
    canvas.paste(small, (int(left), int(top)))
    return canvas


def random_window(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Cut a square of at least `size` pixels, or the largest there is, and resize it to `size`."""
    shorter = min(image.size)
    side = min(shorter, int(size * rng.uniform(1, max(1.0, shorter / size))))
    left = int(rng.integers(image.width - side + 1))
    top = int(rng.integers(image.height - side + 1))
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box)


def instance_mask(labels: Path, rng: np.random.Generator) -> Image.Image:
    """Return the mask of one object of an instance map; empty where the map has none."""
    array = np.array(Image.open(labels)).astype(np.int64)
    ids = [label for label in np.unique(array) if label not in (0, IGNORED_INSTANCE)]
    chosen = array == rng.choice(ids) if ids else np.zeros(array.shape, bool)
    return Image.fromarray(chosen.astype(np.uint8) * 255)


def strokes(size: int, rng: np.random.Generator) -> Image.Image:
    """Draw lines of 1 to 8 pixels, straight or bent: ropes, spokes and antennas."""
    scale = 2  # drawn larger, so that reducing makes soft borders
    image = Image.new("L", (scale * size, scale * size))
    draw = ImageDraw.Draw(image)
    steps = np.linspace(0, 1, 16)[:, None]
    for _ in range(int(rng.integers(2, 9))):
        start, bend, end = rng.uniform(-0.1, 1.1, (3, 2)) * scale * size
        if rng.random() < 0.5:
            bend = (start + end) / 2
        points = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * end
        width = max(1, round(scale * float(np.exp(rng.uniform(0, np.log(8))))))
        draw.line([tuple(point) for point in points], fill=255, width=width, joint="curve")
    return image.resize((size, size), Image.Resampling.BOX)
