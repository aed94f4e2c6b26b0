"""The material of scenes; `training/README.md` lists its sources."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.svgLib.path import parse_path
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from segdemo.datatypes import InputError

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


@dataclass(frozen=True)
class LabelledPhoto:
    """A photograph with the path of its mask or instance map."""

    image: Path
    labels: Path


class Material:
    """The material of scenes; decoded once, shared by forked workers."""

    def __init__(self, folder: Path) -> None:
        """Read `folder`; raises InputError when a part of it is missing."""
        self.kinds = KINDS
        self.cutouts: dict[str, Sequence[Image.Image]] = {
            kind: [load_cutout(path) for path in _files(folder / f"cutouts_{kind}")]
            for kind in ("photo", "3d", "emoji3d")
        }
        self.silhouettes = load_silhouettes(folder / "game-icons.json.gz")
        self.people = _labelled(folder / "ccp" / "images", folder / "ccp" / "masks")
        self.photos = _labelled(folder / "coco" / "images", folder / "coco" / "instances")
        self.backgrounds = _files(folder / "photos_bsds")


def draw_silhouette(outline: str, size: int) -> Image.Image:
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


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    if not files:
        raise InputError(f"{folder} holds no files: unpack the training material there.")
    return files


def _labelled(images: Path, labels: Path) -> list[LabelledPhoto]:
    return [LabelledPhoto(path, labels / f"{path.stem}.png") for path in _files(images)]


def load_cutout(path: Path) -> Image.Image:
    """Read an RGBA file, cropped to what is visible and reduced to `LONGEST_CUTOUT`."""
    cutout = Image.open(path).convert("RGBA")
    cutout = cutout.crop(cutout.getchannel("A").getbbox() or (0, 0, *cutout.size))
    cutout.thumbnail((LONGEST_CUTOUT, LONGEST_CUTOUT), reducing_gap=2.0)
    return cutout


def load_silhouettes(path: Path) -> list[str]:
    """Read the outlines of an iconify collection, in the file's order."""
    if not path.is_file():
        raise InputError(f"{path} is missing: unpack the training material there.")
    icons = json.loads(gzip.decompress(path.read_bytes()))["icons"]
    bodies = [icon["body"].split(' d="')[1:] for icon in icons.values()]
    return [" ".join(part.split('"')[0] for part in parts) for parts in bodies if parts]
