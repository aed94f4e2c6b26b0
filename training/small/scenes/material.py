"""The material of scenes; `training/README.md` lists its sources.

Some of it is kept for validation, by its source, so that nothing of a photo is on both sides.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.svgLib.path import parse_path
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from segdemo.datatypes import InputError

logger = logging.getLogger(__name__)

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
CUTOUTS = ("photo", "3d", "emoji3d")
ICONS = "game-icons.json.gz"
PARTS = (*(f"cutouts_{kind}" for kind in CUTOUTS), "ccp/images", "coco/images", "photos_bsds")
VALIDATION_SHARE = 20  # one source in this many is kept for validation


@dataclass(frozen=True)
class LabelledPhoto:
    """A photograph with the path of its mask or instance map."""

    image: Path
    labels: Path


def in_validation(path: Path) -> bool:
    """Return whether a file is kept for validation: a function of its source photo's name.

    Files made from one source (a photo and its mask, renders of one model from several sides, a
    photo that two collections hold) are on the same side.
    """
    source = re.sub(r"^(ccp_rest_|ccp_)", "", path.stem)
    source = re.sub(r"_\d$", "", source)  # renders: the last number is the side they are seen from
    if source.isdigit():
        source = str(int(source))  # collections pad COCO's and CCP's numbers differently
    digest = hashlib.sha256(source.encode()).digest()
    return int.from_bytes(digest[:4], "big") % VALIDATION_SHARE == 0


@dataclass(frozen=True)
class MaterialFiles:
    """The files of a folder of material, or of one side of it; what is missing is empty.

    icons: the archive of silhouettes, None also where only what is kept for validation is listed.
    """

    cutouts: Mapping[str, list[Path]]
    people: list[LabelledPhoto]
    photos: list[LabelledPhoto]
    backgrounds: list[Path]
    icons: Path | None

    @property
    def has_subjects(self) -> bool:
        """Whether there is anything that a scene could show."""
        return bool(self.people or self.photos or self.icons or any(self.cutouts.values()))


def list_material(folder: Path, validation: bool | None = None) -> MaterialFiles:
    """List a folder's files; raises InputError where it holds nothing of the material.

    validation: True for the side that is kept for validation, False for the other, None for both.
    A part that is missing is warned of.
    """
    found = {part: _files(folder / part, validation) for part in PARTS}
    icons = folder / ICONS
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    missing += [] if icons.is_file() else [ICONS]
    if len(missing) > len(PARTS):
        raise InputError(
            f"{folder} holds nothing of the material ({', '.join(missing)}): run python -m "
            f"training.small.fetch --output_dir {folder}."
        )
    if missing and not validation:
        logger.warning(
            "%s lacks %s: scenes are composed without; training.small.fetch says how to get it",
            folder,
            ", ".join(missing),
        )
    return MaterialFiles(
        cutouts={kind: found[f"cutouts_{kind}"] for kind in CUTOUTS},
        people=_labelled(found["ccp/images"], folder / "ccp" / "masks"),
        photos=_labelled(found["coco/images"], folder / "coco" / "instances"),
        backgrounds=found["photos_bsds"],
        icons=icons if icons.is_file() and not validation else None,
    )


class Material:
    """The material of scenes; decoded once, shared by forked workers.

    kinds: what is pasted, and how often, of what is there.
    """

    def __init__(self, files: MaterialFiles) -> None:
        """Read the files; raises InputError where they hold nothing to paste."""
        self.cutouts: dict[str, Sequence[Image.Image]] = {
            kind: [load_cutout(path) for path in paths] for kind, paths in files.cutouts.items()
        }
        self.silhouettes = load_silhouettes(files.icons) if files.icons else []
        self.people, self.photos, self.backgrounds = files.people, files.photos, files.backgrounds
        self.kinds = self.kinds_present(KINDS)

    def kinds_present(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Return the shares of what there is any of, with a sum of 1; raises InputError."""
        pools: dict[str, Sequence[object]] = {
            **self.cutouts,
            "person": self.people,
            "thing": self.photos,
            "silhouette": self.silhouettes,
        }
        kept = {kind: share for kind, share in shares.items() if pools.get(kind)}
        if not kept:
            raise InputError(
                "The material holds nothing to compose scenes of: see training/README.md."
            )
        if len(kept) == len(shares):
            return kept
        total = sum(kept.values())
        return {kind: share / total for kind, share in kept.items()}


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


def _files(folder: Path, validation: bool | None) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return [path for path in files if validation is None or in_validation(path) == validation]


def _labelled(images: list[Path], labels: Path) -> list[LabelledPhoto]:
    found = [LabelledPhoto(path, labels / f"{path.stem}.png") for path in images]
    return [photo for photo in found if photo.labels.is_file()]


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
