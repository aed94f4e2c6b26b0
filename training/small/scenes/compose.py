"""Training scenes: photographs with known subjects and composites whose truth is exact.

`compose_scene` makes one square scene out of the material. Every random choice comes from the
generator that the caller passes in, so scene number `i` of a seed is always the same scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from training.small.scenes.backgrounds import background, calm_crop
from training.small.scenes.crops import box_of, crop, jitter_colors, widen
from training.small.scenes.material import Material
from training.small.scenes.paste import (
    CROWDING,
    Pasted,
    harmonize,
    paste_objects,
    place_object,
    vary_cutout,
)
from training.small.scenes.photos import LabelledImage, instance_photo, person


@dataclass(frozen=True, eq=False)
class Scene:
    """A square image with its truth.

    image: (S, S, 3) uint8. mask: (S, S) uint8, soft coverage of all subjects, 255 = subject.
    instances: (S, S) uint8, 0 = background, 1.. = the visible part of each subject.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8]


def compose_scene(material: Material, size: int, rng: np.random.Generator) -> Scene:
    """Make one scene of `size` x `size` pixels: half composites, half labelled photographs."""
    kind = rng.random()
    if kind < 0.12 and material.people:
        return _photo_scene(person(material, rng), size, rng)
    if kind < 0.52 and material.photos:
        photo = instance_photo(material, rng)
        if photo is not None:
            return _photo_scene(photo, size, rng)
    return _composite(material, size, rng)


def compose_crowd(material: Material, size: int, rng: np.random.Generator) -> Scene:
    """Make a scene of 3 to 9 objects that crowd together, half of the time of one kind.

    For edges between instances: those of one kind are told apart by their borders alone. What is
    behind them holds no objects, whose edges would be missing in the truth.
    """
    canvas = jitter_colors(calm_crop(material, size, 0.02, rng), rng, strength=0.3)
    kinds = [kind for kind in CROWDING if kind in material.kinds]
    kind = str(rng.choice(kinds)) if kinds and rng.random() < 0.5 else None
    count, longest = int(rng.integers(3, 10)), rng.uniform(0.25, 0.6)
    return _finished(paste_objects(material, canvas, count, longest, kind, rng), rng)


def _photo_scene(photo: LabelledImage, size: int, rng: np.random.Generator) -> Scene:
    """Crop around the subject, squash to a square, mirror and change the colours."""
    image, instances = photo.image, photo.instances
    if rng.random() < 0.6:
        window = widen(box_of(instances > 0), rng.uniform(0.1, 1.5), instances.shape, rng)
        image, instances = image.crop(window), crop(instances, window)
    image = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    subject = Image.fromarray(((instances > 0) * 255).astype(np.uint8))
    mask = np.asarray(subject.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0))
    labels = np.asarray(Image.fromarray(instances).resize((size, size), Image.Resampling.NEAREST))
    pixels = np.asarray(jitter_colors(image, rng, strength=0.35))
    if rng.random() < 0.5:
        pixels, mask, labels = pixels[:, ::-1], mask[:, ::-1], labels[:, ::-1]
    return Scene(np.ascontiguousarray(pixels), np.ascontiguousarray(mask), labels.copy())


def _composite(material: Material, size: int, rng: np.random.Generator) -> Scene:
    """Paste one to six objects on a background; two neighbours in three touch or overlap."""
    canvas = background(material, size, rng)
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.58, 0.18, 0.1, 0.06, 0.04, 0.04]))
    longest = rng.uniform(0.3, 1.0) if count == 1 else rng.uniform(0.25, 0.6)
    large = longest > 0.4
    if large and rng.random() < 0.3:
        canvas = _with_distractors(material, canvas, 0.3 * longest, rng)
    found = paste_objects(material, canvas, count, longest, None, rng)
    if large and rng.random() < 0.15:
        found = _occluded(found, _occluder(material, found, 0.35 * longest, rng))
    return _finished(found, rng)


def _finished(found: Pasted, rng: np.random.Generator) -> Scene:
    """Blur, recolour and add noise as a camera might, to some images."""
    canvas = found.canvas
    if rng.random() < 0.2:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    pixels = np.asarray(jitter_colors(canvas, rng, strength=0.2))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 10), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return Scene(pixels.copy(), np.rint(found.coverage * 255).astype(np.uint8), found.instances)


def _with_distractors(
    material: Material, canvas: Image.Image, longest: float, rng: np.random.Generator
) -> Image.Image:
    """Paste one to three small objects that are not subjects into the background."""
    for _ in range(int(rng.integers(1, 4))):
        layer, _ = place_object(
            material, longest * rng.uniform(0.4, 1.0), canvas.width, None, None, rng
        )
        layer = harmonize(layer, canvas, rng)
        canvas.paste(layer.convert("RGB"), (0, 0), layer.getchannel("A"))
    return canvas


def _occluded(found: Pasted, occluder: Image.Image) -> Pasted:
    """Paste a thing (RGBA, of the image's size) that is no subject in front of all."""
    canvas = found.canvas.copy()
    canvas.paste(occluder.convert("RGB"), (0, 0), occluder.getchannel("A"))
    hidden = np.asarray(occluder.getchannel("A"), np.float32) / 255
    instances = np.where(hidden > 0.5, 0, found.instances).astype(np.uint8)
    return Pasted(canvas, found.coverage * (1 - hidden), instances, found.last)


def _occluder(
    material: Material, found: Pasted, longest: float, rng: np.random.Generator
) -> Image.Image:
    """Lay a small thing over the border of the last object's box: it hides a part of it."""
    canvas = found.canvas
    length = round(longest * rng.uniform(0.4, 1.0) * canvas.width)
    cutout = vary_cutout(material, max(8, length), None, rng)
    left, top, right, bottom = found.last
    centre = [rng.uniform(left, right), rng.uniform(top, bottom)]
    side = int(rng.integers(4))
    centre[side % 2] = found.last[side]  # one of the four sides
    layer = Image.new("RGBA", canvas.size)
    corner = (round(centre[0] - cutout.width / 2), round(centre[1] - cutout.height / 2))
    layer.paste(cutout, corner)
    return harmonize(layer, canvas, rng)
