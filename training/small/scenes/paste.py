"""Objects that are cut out, varied and pasted on an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from segdemo.datatypes import InputError
from training.small.scenes.backgrounds import background_crop
from training.small.scenes.crops import Box, box_of, jitter_colors
from training.small.scenes.material import LONGEST_CUTOUT, Material, draw_silhouette
from training.small.scenes.photos import LabelledImage, instance_photo, person

CROWDING = ("photo", "person", "thing")
"""Kinds that a crowd of one kind may be of."""
MOST_TRIES = 200  # to find a photograph in which an object dominates


@dataclass(frozen=True, eq=False)
class Pasted:
    """An image with objects pasted on it.

    canvas: RGB. coverage: (S, S) in [0, 1]. instances: (S, S), numbers from 1 on. last: the box of
    the object in front.
    """

    canvas: Image.Image
    coverage: npt.NDArray[np.floating]
    instances: npt.NDArray[np.uint8]
    last: Box


def paste_objects(
    material: Material,
    canvas: Image.Image,
    count: int,
    longest: float,
    kind: str | None,
    rng: np.random.Generator,
) -> Pasted:
    """Paste one object or more, of a kind or of any, about `longest` of the side long."""
    canvas, size = canvas.copy(), canvas.width
    coverage: npt.NDArray[np.floating] = np.zeros((size, size), np.float32)
    instances = np.zeros((size, size), np.uint8)
    previous: Box | None = None
    for number in range(1, count + 1):
        share = longest * rng.uniform(0.75, 1.1)
        layer, previous = place_object(material, share, size, previous, kind, rng)
        alpha = np.asarray(layer.getchannel("A"), np.float32) / 255
        if rng.random() < 0.3:
            canvas = add_shadow(canvas, layer.getchannel("A"), rng)
        if rng.random() < 0.5:
            layer = harmonize(layer, canvas, rng)
        canvas.paste(layer.convert("RGB"), (0, 0), layer.getchannel("A"))
        coverage = 1 - (1 - coverage) * (1 - alpha)
        instances[alpha > 0.5] = number
    assert previous is not None
    return Pasted(canvas, coverage, instances, previous)


def place_object(
    material: Material,
    share: float,
    size: int,
    previous: Box | None,
    kind: str | None,
    rng: np.random.Generator,
) -> tuple[Image.Image, Box]:
    """Lay an object, `share` of the canvas long, on an empty one; returns it (RGBA) and its box."""
    cutout = vary_cutout(material, max(12, round(share * size)), kind, rng)
    left, top = _position(cutout.size, size, previous, rng)
    layer = Image.new("RGBA", (size, size))
    layer.paste(cutout, (left, top))
    return layer, (left, top, left + cutout.width, top + cutout.height)


def vary_cutout(
    material: Material, longest: int, kind: str | None, rng: np.random.Generator
) -> Image.Image:
    """Choose an object and bring it to its size, orientation, aspect and colours; RGBA."""
    cutout = _choose_cutout(material, kind, rng)
    if rng.random() < 0.5:
        cutout = cutout.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.5:
        angle = rng.uniform(-25, 25)
        cutout = cutout.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    aspect = float(np.exp(rng.uniform(-0.35, 0.35)))
    width, height = cutout.width * aspect, cutout.height / aspect
    scale = longest / max(width, height)
    cutout = cutout.resize(
        (max(4, round(width * scale)), max(4, round(height * scale))),
        Image.Resampling.BILINEAR,
        reducing_gap=2.0,
    )
    jittered = jitter_colors(cutout.convert("RGB"), rng, strength=0.3)
    jittered.putalpha(cutout.getchannel("A"))
    return jittered


def _choose_cutout(material: Material, kind: str | None, rng: np.random.Generator) -> Image.Image:
    for _ in range(MOST_TRIES):
        chosen = kind or str(rng.choice(list(material.kinds), p=list(material.kinds.values())))
        if chosen in material.cutouts:
            pool = material.cutouts[chosen]
            return pool[int(rng.integers(len(pool)))]
        if chosen == "silhouette":
            return _textured_silhouette(material, rng)
        photo = person(material, rng) if chosen == "person" else instance_photo(material, rng)
        if photo is not None and photo.instances.any():
            return _largest(photo)
    raise InputError("No labelled photo of the material has a large object: unpack it again.")


def _largest(photo: LabelledImage) -> Image.Image:
    """Cut out the largest object of a photograph, RGBA."""
    ids, areas = np.unique(photo.instances[photo.instances > 0], return_counts=True)
    alpha = photo.instances == ids[areas.argmax()]
    cutout = photo.image.convert("RGBA")
    soft = Image.fromarray((alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    cutout.putalpha(soft)
    cutout = cutout.crop(box_of(alpha))
    cutout.thumbnail((LONGEST_CUTOUT, LONGEST_CUTOUT), reducing_gap=2.0)
    return cutout


def _textured_silhouette(material: Material, rng: np.random.Generator) -> Image.Image:
    """Fill a drawn shape with a piece of a photograph: thin parts and holes that photos lack."""
    shape = draw_silhouette(material.silhouettes[rng.integers(len(material.silhouettes))], 224)
    filling = jitter_colors(background_crop(material, 224, rng), rng, strength=0.8)
    filling.putalpha(shape)
    return filling.crop(shape.getbbox() or (0, 0, 224, 224))


def _position(
    extent: tuple[int, int],
    size: int,
    previous: Box | None,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Choose the top left corner; at most a fifth of the object leaves the canvas."""
    width, height = extent
    if previous is not None and rng.random() < 0.67:
        overlap = rng.uniform(0.02, 0.3)
        left = (
            round(previous[2] - overlap * width)
            if rng.random() < 0.5
            else round(previous[0] - (1 - overlap) * width)
        )
        top = round(previous[1] + rng.uniform(-0.3, 0.3) * height)
    else:
        left = round(rng.uniform(-0.1 * width, size - 0.9 * width))
        top = round(rng.uniform(-0.1 * height, size - 0.9 * height))
    left = int(np.clip(left, -0.2 * width, size - 0.8 * width))
    top = int(np.clip(top, -0.2 * height, size - 0.8 * height))
    return left, top


def add_shadow(canvas: Image.Image, alpha: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darken an image behind an object, given its alpha."""
    offset = ImageChops.offset(alpha, int(rng.integers(-12, 13)), int(rng.integers(0, 13)))
    strength = rng.uniform(0.2, 0.6)
    shadow = offset.filter(ImageFilter.GaussianBlur(rng.uniform(2, 9))).point(
        lambda v: v * strength
    )
    return Image.composite(Image.new("RGB", canvas.size), canvas, shadow)


def harmonize(layer: Image.Image, canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Move the object's mean colour part of the way to the background's: less of a giveaway."""
    pixels = np.asarray(layer, np.float32).copy()
    inside = pixels[..., 3] > 128
    if not inside.any():
        return layer
    shift = np.asarray(canvas, np.float32).mean((0, 1)) - pixels[inside][:, :3].mean(0)
    pixels[..., :3] += rng.uniform(0.1, 0.6) * shift
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA")
