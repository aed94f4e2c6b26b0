"""Training scenes: photographs with known subjects and composites whose truth is exact.

`Material` reads a folder of cut-outs, people, instance-labelled photographs, silhouettes and plain
photographs (`training/README.md` says where each comes from); `compose_scene` makes one square
scene out of it. Every random choice comes from the generator that the caller passes in, so scene
number `i` of a seed is always the same scene.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.svgLib.path import parse_path
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from segdemo.datatypes import InputError

UInt8Array = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom."""

LONGEST_CUTOUT = 320  # pixels; scenes are 256 to 384 px wide, so more would be thrown away
IGNORED_INSTANCE = 65535
KINDS = {
    "photo": 0.32,
    "3d": 0.16,
    "emoji3d": 0.07,
    "person": 0.13,
    "thing": 0.25,
    "silhouette": 0.07,
}
"""What is pasted, and how often."""
CROWDING = ("photo", "person", "thing")
"""Kinds that a crowd of one kind may be of."""
SHARE_OF_DOMINANT = 0.35  # an object this large beside the largest one is a subject too


@dataclass(frozen=True, eq=False)
class Scene:
    """A square picture with its truth.

    image: (S, S, 3) uint8. mask: (S, S) uint8, soft coverage of all subjects, 255 = subject.
    instances: (S, S) uint8, 0 = background, 1.. = the visible part of each subject.
    """

    image: UInt8Array
    mask: UInt8Array
    instances: UInt8Array


@dataclass(frozen=True)
class LabelledPhoto:
    """A photograph with the path of its mask or instance map."""

    image: Path
    labels: Path


class Material:
    """What scenes are made of; decoded once, shared by forked workers."""

    def __init__(self, folder: Path) -> None:
        """Read `folder`; raises InputError when a part of it is missing."""
        self.cutouts = {
            kind: [_load_cutout(path) for path in _files(folder / f"cutouts_{kind}")]
            for kind in ("photo", "3d", "emoji3d")
        }
        self.silhouettes = _load_silhouettes(folder / "game-icons.json.gz")
        self.people = _labelled(folder / "ccp" / "images", folder / "ccp" / "masks")
        self.photos = _labelled(folder / "coco" / "images", folder / "coco" / "instances")
        self.backdrops = _files(folder / "photos_bsds")


def compose_scene(material: Material, size: int, rng: np.random.Generator) -> Scene:
    """Make one scene of `size` x `size` pixels: half composites, half labelled photographs."""
    kind = rng.random()
    if kind < 0.12:
        return _photo_scene(_person(material, rng), size, rng)
    if kind < 0.52:
        photo = _instance_photo(material, rng)
        if photo is not None:
            return _photo_scene(photo, size, rng)
    return _composite(material, size, rng)


# Labelled photographs -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Labelled:
    image: Image.Image  # RGB
    instances: UInt8Array  # (H, W); 0 = background


def _person(material: Material, rng: np.random.Generator) -> _Labelled:
    photo = material.people[rng.integers(len(material.people))]
    image = Image.open(photo.image).convert("RGB")
    person = np.asarray(Image.open(photo.labels).convert("L").resize(image.size)) > 127
    return _Labelled(image, person.astype(np.uint8))


def _instance_photo(material: Material, rng: np.random.Generator) -> _Labelled | None:
    """Crop a photograph around some of its objects; None when no object dominates the view."""
    photo = material.photos[rng.integers(len(material.photos))]
    image = Image.open(photo.image).convert("RGB")
    labels = np.array(Image.open(photo.labels)).astype(np.int64)
    labels[labels == IGNORED_INSTANCE] = 0
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    large = ids[areas > 0.01 * labels.size]
    if large.size == 0:
        return None
    if rng.random() < 0.7:  # look closer at one of the objects
        box = _box_of(labels == rng.choice(large))
        window = _widen(box, rng.uniform(0.05, 0.9), labels.shape, rng)
        image, labels = image.crop(window), _crop(labels, window)
        ids, areas = np.unique(labels[labels > 0], return_counts=True)
    if areas.max() < 0.02 * labels.size:
        return None
    subjects = ids[areas >= SHARE_OF_DOMINANT * areas.max()][:254]
    instances = np.zeros(labels.shape, np.uint8)
    for number, label in enumerate(subjects, start=1):
        instances[labels == label] = number
    return _Labelled(image, instances)


def _photo_scene(photo: _Labelled, size: int, rng: np.random.Generator) -> Scene:
    """Crop around the subject, squash to a square, mirror and change the colours."""
    image, instances = photo.image, photo.instances
    if rng.random() < 0.6:
        window = _widen(_box_of(instances > 0), rng.uniform(0.1, 1.5), instances.shape, rng)
        image, instances = image.crop(window), _crop(instances, window)
    image = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    subject = Image.fromarray(((instances > 0) * 255).astype(np.uint8))
    mask = np.asarray(subject.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0))
    labels = np.asarray(Image.fromarray(instances).resize((size, size), Image.Resampling.NEAREST))
    pixels = np.asarray(_recolour(image, rng, strength=0.35))
    if rng.random() < 0.5:
        pixels, mask, labels = pixels[:, ::-1], mask[:, ::-1], labels[:, ::-1]
    return Scene(np.ascontiguousarray(pixels), np.ascontiguousarray(mask), labels.copy())


# Composites ---------------------------------------------------------------------------------------


def _composite(material: Material, size: int, rng: np.random.Generator) -> Scene:
    """Paste one to six objects on a backdrop; two neighbours in three touch or overlap."""
    canvas = _backdrop(material, size, rng)
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.58, 0.18, 0.1, 0.06, 0.04, 0.04]))
    longest = rng.uniform(0.3, 1.0) if count == 1 else rng.uniform(0.25, 0.6)
    large = longest > 0.4
    if large and rng.random() < 0.3:
        canvas = _with_distractors(material, canvas, 0.3 * longest, rng)
    canvas, coverage, instances, last = _pasted(material, canvas, count, longest, None, rng)
    if large and rng.random() < 0.15:
        occluder = _occluder(material, canvas, 0.35 * longest, last, rng)
        canvas.paste(occluder.convert("RGB"), (0, 0), occluder.getchannel("A"))
        hidden = np.asarray(occluder.getchannel("A"), np.float32) / 255
        coverage = coverage * (1 - hidden)
        instances[hidden > 0.5] = 0
    return _finished(canvas, coverage, instances, rng)


def compose_crowd(material: Material, size: int, rng: np.random.Generator) -> Scene:
    """Make a scene of 3 to 9 objects that crowd together, half of the time of one kind.

    For edges between instances: those of one kind are told apart by their borders alone. What is
    behind them holds no objects, whose edges would be missing in the truth.
    """
    canvas = _recolour(_calm_crop(material, size, 0.02, rng), rng, strength=0.3)
    kind = str(rng.choice(CROWDING)) if rng.random() < 0.5 else None
    count, longest = int(rng.integers(3, 10)), rng.uniform(0.25, 0.6)
    canvas, coverage, instances, _ = _pasted(material, canvas, count, longest, kind, rng)
    return _finished(canvas, coverage, instances, rng)


def _pasted(
    material: Material,
    canvas: Image.Image,
    count: int,
    longest: float,
    kind: str | None,
    rng: np.random.Generator,
) -> tuple[Image.Image, npt.NDArray[np.floating], UInt8Array, Box]:
    """Paste objects; returns the picture, their coverage in [0, 1], numbers and the last's box."""
    size = canvas.width
    coverage: npt.NDArray[np.floating] = np.zeros((size, size), np.float32)
    instances = np.zeros((size, size), np.uint8)
    previous: Box | None = None
    for number in range(1, count + 1):
        share = longest * rng.uniform(0.75, 1.1)
        layer, previous = _laid(material, share, size, previous, kind, rng)
        alpha = np.asarray(layer.getchannel("A"), np.float32) / 255
        if rng.random() < 0.3:
            canvas = _with_shadow(canvas, layer.getchannel("A"), rng)
        if rng.random() < 0.5:
            layer = _harmonised(layer, canvas, rng)
        canvas.paste(layer.convert("RGB"), (0, 0), layer.getchannel("A"))
        coverage = 1 - (1 - coverage) * (1 - alpha)
        instances[alpha > 0.5] = number
    assert previous is not None
    return canvas, coverage, instances, previous


def _finished(
    canvas: Image.Image,
    coverage: npt.NDArray[np.floating],
    instances: UInt8Array,
    rng: np.random.Generator,
) -> Scene:
    """Blur, recolour and add noise as a camera might, to some pictures."""
    if rng.random() < 0.2:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    pixels = np.asarray(_recolour(canvas, rng, strength=0.2))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 10), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return Scene(pixels.copy(), np.rint(coverage * 255).astype(np.uint8), instances)


def _laid(
    material: Material,
    share: float,
    size: int,
    previous: Box | None,
    kind: str | None,
    rng: np.random.Generator,
) -> tuple[Image.Image, Box]:
    """Lay an object, `share` of the canvas long, on an empty one; returns it (RGBA) and its box."""
    cutout = _placed_cutout(material, max(12, round(share * size)), kind, rng)
    left, top = _position(cutout.size, size, previous, rng)
    layer = Image.new("RGBA", (size, size))
    layer.paste(cutout, (left, top))
    return layer, (left, top, left + cutout.width, top + cutout.height)


def _with_distractors(
    material: Material, canvas: Image.Image, longest: float, rng: np.random.Generator
) -> Image.Image:
    """Put one to three small things into the backdrop: what is small beside the subject is not."""
    for _ in range(int(rng.integers(1, 4))):
        layer, _ = _laid(material, longest * rng.uniform(0.4, 1.0), canvas.width, None, None, rng)
        layer = _harmonised(layer, canvas, rng)
        canvas.paste(layer.convert("RGB"), (0, 0), layer.getchannel("A"))
    return canvas


def _occluder(
    material: Material,
    canvas: Image.Image,
    longest: float,
    subject: Box,
    rng: np.random.Generator,
) -> Image.Image:
    """Lay a small thing over the border of the subject's box: it hides a part of the subject."""
    length = round(longest * rng.uniform(0.4, 1.0) * canvas.width)
    cutout = _placed_cutout(material, max(8, length), None, rng)
    left, top, right, bottom = subject
    centre = [rng.uniform(left, right), rng.uniform(top, bottom)]
    side = int(rng.integers(4))
    centre[side % 2] = subject[side]  # one of the four sides
    layer = Image.new("RGBA", canvas.size)
    corner = (round(centre[0] - cutout.width / 2), round(centre[1] - cutout.height / 2))
    layer.paste(cutout, corner)
    return _harmonised(layer, canvas, rng)


def _backdrop(material: Material, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a photograph with hardly a subject of its own, or, one time in ten, a gradient."""
    kind = rng.random()
    if kind < 0.1:
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        picture = Image.fromarray(corners).resize((size, size), Image.Resampling.BICUBIC)
    elif kind < 0.28:
        picture = _backdrop_crop(material, size, rng)
    else:
        # some hold things, which beside the pasted subject are none
        picture = _calm_crop(material, size, 0.08 if kind > 0.8 else 0.02, rng)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _recolour(picture, rng, strength=0.3)


def _backdrop_crop(material: Material, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a random window of a random plain photograph."""
    return _crop_to(
        Image.open(material.backdrops[rng.integers(len(material.backdrops))]), size, rng
    )


def _calm_crop(material: Material, size: int, most: float, rng: np.random.Generator) -> Image.Image:
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
            if _crop(things, window).mean() < most:
                picture = Image.open(photo.image).convert("RGB").crop(window)
                return picture.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _backdrop_crop(material, size, rng)


def _placed_cutout(
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
    recoloured = _recolour(cutout.convert("RGB"), rng, strength=0.3)
    recoloured.putalpha(cutout.getchannel("A"))
    return recoloured


def _choose_cutout(material: Material, kind: str | None, rng: np.random.Generator) -> Image.Image:
    kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind in material.cutouts:
        pool = material.cutouts[kind]
        return pool[rng.integers(len(pool))]
    if kind == "silhouette":
        return _textured_silhouette(material, rng)
    photo = _person(material, rng) if kind == "person" else _instance_photo(material, rng)
    if photo is None:
        return _choose_cutout(material, kind, rng)
    ids, areas = np.unique(photo.instances[photo.instances > 0], return_counts=True)
    alpha = photo.instances == ids[areas.argmax()]
    cutout = photo.image.convert("RGBA")
    soft = Image.fromarray((alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    cutout.putalpha(soft)
    cutout = cutout.crop(_box_of(alpha))
    cutout.thumbnail((LONGEST_CUTOUT, LONGEST_CUTOUT), reducing_gap=2.0)
    return cutout


def _textured_silhouette(material: Material, rng: np.random.Generator) -> Image.Image:
    """Fill a drawn shape with a piece of a photograph: thin parts and holes that photos lack."""
    shape = _draw_silhouette(material.silhouettes[rng.integers(len(material.silhouettes))], 224)
    filling = _recolour(_backdrop_crop(material, 224, rng), rng, strength=0.8)
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


def _with_shadow(canvas: Image.Image, alpha: Image.Image, rng: np.random.Generator) -> Image.Image:
    offset = ImageChops.offset(alpha, int(rng.integers(-12, 13)), int(rng.integers(0, 13)))
    strength = rng.uniform(0.2, 0.6)
    shadow = offset.filter(ImageFilter.GaussianBlur(rng.uniform(2, 9))).point(
        lambda v: v * strength
    )
    return Image.composite(Image.new("RGB", canvas.size), canvas, shadow)


def _harmonised(layer: Image.Image, canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Move the object's mean colour part of the way to the backdrop's: less of a giveaway."""
    pixels = np.asarray(layer, np.float32).copy()
    inside = pixels[..., 3] > 128
    if not inside.any():
        return layer
    shift = np.asarray(canvas, np.float32).mean((0, 1)) - pixels[inside][:, :3].mean(0)
    pixels[..., :3] += rng.uniform(0.1, 0.6) * shift
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA")


# Pixels -------------------------------------------------------------------------------------------


def _recolour(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(float(np.exp(rng.uniform(-strength, strength))))
    return image


def _crop_to(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    w, h = (int(side * rng.uniform(0.4, 1.0)) for side in image.size)
    left, top = int(rng.integers(image.width - w + 1)), int(rng.integers(image.height - h + 1))
    window = image.convert("RGB").crop((left, top, left + w, top + h))
    return window.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _box_of(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _widen(
    box: Box,
    margin: float,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Box:
    """Grow a box by up to `margin` of its side in each direction, within the picture."""
    left, top, right, bottom = box
    room = margin * max(right - left, bottom - top)
    grow = rng.uniform(0, 1, 4) * room
    return (
        max(0, int(left - grow[0])),
        max(0, int(top - grow[1])),
        min(shape[1], int(right + grow[2]) + 1),
        min(shape[0], int(bottom + grow[3]) + 1),
    )


def _crop(array: npt.NDArray[Any], window: Box) -> npt.NDArray[Any]:
    left, top, right, bottom = window
    return array[top:bottom, left:right]


def _draw_silhouette(outline: str, size: int) -> Image.Image:
    """Rasterise an SVG path of a 512 x 512 drawing by the even-odd rule."""
    pen = DecomposingRecordingPen({})
    parse_path(outline, pen)
    shape = Image.new("1", (size, size))
    contour: list[tuple[float, float]] = []
    for operator, points in pen.value:
        if operator == "moveTo":
            contour = [points[0]]
        elif operator == "lineTo":
            contour.append(points[0])
        elif operator in ("curveTo", "qCurveTo"):
            contour += _bezier([contour[-1], *points])
        elif len(contour) > 2:  # closePath, endPath
            layer = Image.new("1", (size, size))
            scaled = [(x * size / 512, y * size / 512) for x, y in contour]
            ImageDraw.Draw(layer).polygon(scaled, fill=1)
            shape = ImageChops.logical_xor(shape, layer)
    return shape.convert("L").filter(ImageFilter.GaussianBlur(0.5))


def _bezier(control: list[tuple[float, float]], steps: int = 8) -> list[tuple[float, float]]:
    """Sample a Bezier curve by de Casteljau's rule, without its first point."""
    curve = []
    for t in np.linspace(0, 1, steps + 1)[1:]:
        points = np.asarray(control, float)
        while len(points) > 1:
            points = (1 - t) * points[:-1] + t * points[1:]
        curve.append((float(points[0, 0]), float(points[0, 1])))
    return curve


# Files --------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    if not files:
        raise InputError(f"{folder} holds no files: unpack the training material there.")
    return files


def _labelled(images: Path, labels: Path) -> list[LabelledPhoto]:
    return [LabelledPhoto(path, labels / f"{path.stem}.png") for path in _files(images)]


def _load_cutout(path: Path) -> Image.Image:
    cutout = Image.open(path).convert("RGBA")
    cutout = cutout.crop(cutout.getchannel("A").getbbox() or (0, 0, *cutout.size))
    cutout.thumbnail((LONGEST_CUTOUT, LONGEST_CUTOUT), reducing_gap=2.0)
    return cutout


def _load_silhouettes(path: Path) -> list[str]:
    """Read the outlines of an iconify collection, in the file's order."""
    if not path.is_file():
        raise InputError(f"{path} is missing: unpack the training material there.")
    icons = json.loads(gzip.decompress(path.read_bytes()))["icons"]
    bodies = [icon["body"].split(' d="')[1:] for icon in icons.values()]
    return [" ".join(part.split('"')[0] for part in parts) for parts in bodies if parts]
