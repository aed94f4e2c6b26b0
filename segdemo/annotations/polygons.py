"""Files of polygons, one a picture: YOLO's rows of numbers and LabelMe's JSON."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.annotations.categories import Categories
from segdemo.annotations.coco import MALFORMED
from segdemo.annotations.gathering import Gathering
from segdemo.annotations.losses import Losses
from segdemo.annotations.outlines import fill, join, trace, trace_filled
from segdemo.annotations.targets import target
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.files import atomic_write, write_json
from segdemo.images import LARGEST_PICTURE

logger = logging.getLogger(__name__)

CLASSES_FILE = "classes.txt"
_SLACK = 1e-3  # how far rounded YOLO coordinates may lie outside 0 to 1
_SHAPES = {"polygon", "rectangle", "circle", "mask"}  # LabelMe's shapes that have an inside
_CIRCLE_CORNERS = 72


def read_yolo(path: Path, folder: Path, name: str, gathering: Gathering, file: str) -> None:
    """Read rows of `class x1 y1 x2 y2 ..`, coordinates as shares of the picture's sides.

    Names come from a `classes.txt`, one a line, beside the file or above it, as far as `folder`.
    The picture's size must be known. Raises InputError.
    """
    key = gathering.key(name, file)
    if key is None:
        return
    size = gathering.size(key, file)
    height, width = size
    rows = _text(path, file).splitlines()
    rows = [row for row in rows if row.strip()]
    gathering.make_room(key, size, len(rows), file)
    masks = np.zeros((len(rows), *size), np.bool_)
    categories = np.zeros(len(rows), np.int64)
    for i, row in enumerate(rows):
        try:
            number, *shares = row.split()
            categories[i] = int(number)
            corners = np.array(shares, np.float64)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{file}: row {i + 1} is not a class and numbers.") from error
        if len(corners) < 6 or len(corners) % 2:
            raise InputError(
                f"{file}: row {i + 1} has {len(corners)} numbers after the class, which is no "
                "polygon: boxes cannot be read as masks."
            )
        if not ((corners >= -_SLACK) & (corners <= 1 + _SLACK)).all():
            raise InputError(f"{file}: row {i + 1} leaves the range 0 to 1 of YOLO's coordinates.")
        corners = corners.reshape(-1, 2) * (width, height)
        masks[i] = fill([corners.ravel().tolist()], size)
    if (categories < 0).any():
        raise InputError(f"{file}: classes are numbers from 0.")
    names = _class_names(path.parent, folder)
    if names and (unknown := set(categories.tolist()) - set(names)):
        raise InputError(f"{file} has class {min(unknown)}, which {CLASSES_FILE} does not name.")
    gathering.add(key, InstanceMasks.unscored(masks, categories, names), file)


def write_yolo(masks_by_name: Mapping[str, InstanceMasks], folder: Path, losses: Losses) -> None:
    """Write a TXT a picture and `classes.txt`; classes are numbered from 0 in rising order.

    Parts of an instance are joined by lines, as Ultralytics does it.
    """
    categories = Categories.of(masks_by_name)
    numbers = {category: number for number, category in enumerate(categories.names)}
    for name in masks_by_name:
        if target(folder, name, ".txt") == folder / CLASSES_FILE:
            raise InputError(f"{name} would share {CLASSES_FILE} with the classes: rename it.")
    for name, found in masks_by_name.items():
        losses.add_scores(found)
        losses.add_crowds(found)
        height, width = found.size
        rows = []
        for i, mask in enumerate(found.masks):
            outlines = trace_filled(mask)
            losses.add("YOLO polygons cannot hold holes: {} lost theirs.", int(outlines.holes > 0))
            if not outlines.polygons:
                losses.add("{} without pixels cannot be polygons and were left out.", 1)
                continue
            losses.add(
                "YOLO has one polygon an instance: {} in several parts had them joined by lines.",
                int(len(outlines.polygons) > 1),
            )
            corners = np.array(join(outlines.polygons)) / (width, height)
            coordinates = " ".join(f"{value:.7g}" for value in corners.ravel().tolist())
            rows.append(f"{numbers[categories.number(found, i)]} {coordinates}\n")
        with atomic_write(target(folder, name, ".txt")) as stream:
            stream.write("".join(rows).encode())
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CLASSES_FILE) as stream:
        lines = [" ".join(name.split()) for name in categories.names.values()]
        stream.write("".join(f"{line}\n" for line in lines).encode())


def read_labelme(content: Any, name: str, gathering: Gathering, file: str) -> None:
    """Read a parsed LabelMe JSON; shapes of one label and group are one instance.

    The picture is the one the JSON names, else the JSON's own name, both in the JSON's sub-folder.
    Lines and points have no inside and are passed over. Raises InputError.
    """
    try:
        # imagePath leads from the JSON to the picture, often by way of ".."
        picture = PureWindowsPath(str(content.get("imagePath") or name)).name
        key = gathering.key(PurePosixPath(name).with_name(picture).as_posix(), file)
        if key is None:
            return
        height, width = content.get("imageHeight"), content.get("imageWidth")
        size = (int(height), int(width)) if height and width else gathering.size(key, file)
        parts: dict[Any, list[Any]] = {}
        for i, shape in enumerate(content["shapes"]):
            if shape.get("shape_type", "polygon") not in _SHAPES:
                logger.info("%s: a %s has no inside and is left out", file, shape["shape_type"])
                continue
            group = shape.get("group_id")
            owner = (i,) if group is None else (str(shape["label"]), str(group))
            parts.setdefault(owner, []).append(shape)
        gathering.make_room(key, size, len(parts), file)
        masks = np.zeros((len(parts), *size), np.bool_)
        labels = [str(shapes[0]["label"]) for shapes in parts.values()]
        for mask, shapes in zip(masks, parts.values(), strict=True):
            for shape in shapes:
                mask |= _shape_mask(shape, size)
    except InputError as error:
        raise InputError(_named(error, file)) from error
    except MALFORMED as error:
        raise InputError(
            f"{file} is no complete LabelMe JSON ({type(error).__name__}: {error}): save it anew."
        ) from error
    categories = np.array([gathering.category(label) for label in labels], np.int64)
    names = {gathering.category(label): label for label in labels}
    gathering.add(key, InstanceMasks.unscored(masks, categories, names), file)


def write_labelme(masks_by_name: Mapping[str, InstanceMasks], folder: Path, losses: Losses) -> None:
    """Write a JSON a picture: a polygon for each region, its holes cut open.

    Regions of one instance share a group.
    """
    categories = Categories.of(masks_by_name)
    for name, found in masks_by_name.items():
        losses.add_scores(found)
        losses.add_crowds(found)
        shapes: list[Any] = []
        for i, mask in enumerate(found.masks):
            polygons = trace(mask).polygons
            losses.add("{} without pixels cannot be polygons and were left out.", not polygons)
            shapes += [
                {
                    "label": categories.name(found, i),
                    "points": [[float(x), float(y)] for x, y in polygon],
                    "group_id": i + 1 if len(polygons) > 1 else None,
                    "description": "",
                    "shape_type": "polygon",
                    "flags": {},
                    "mask": None,
                }
                for polygon in polygons
            ]
        height, width = found.size
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": PurePosixPath(name).name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_json(content, target(folder, name, ".json"))


def _shape_mask(shape: Mapping[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the (H, W) mask of one LabelMe shape."""
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise InputError("a point in it is not a number")
    kind = shape.get("shape_type", "polygon")
    if kind == "mask":
        return _pasted_mask(shape, points, size)
    if kind == "polygon":
        return fill([points.ravel().tolist()], size)
    (x1, y1), (x2, y2) = points
    if kind == "rectangle":
        return fill([[x1, y1, x2, y1, x2, y2, x1, y2]], size)
    turns = np.linspace(0, 2 * np.pi, _CIRCLE_CORNERS, endpoint=False)
    radius = np.hypot(x2 - x1, y2 - y1)  # the second point lies on the circle around the first
    corners = np.column_stack([x1 + radius * np.cos(turns), y1 + radius * np.sin(turns)])
    return fill([corners.ravel().tolist()], size)


def _pasted_mask(
    shape: Mapping[str, Any], points: npt.NDArray[np.float64], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return a mask shape: a PNG in Base64 that lies at its first point."""
    left, top = (int(value) for value in points[0])
    try:
        stream = io.BytesIO(base64.b64decode(shape["mask"], validate=True))
        with Image.open(stream, formats=("PNG",)) as picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise ValueError("too large")
            patch = np.asarray(picture.convert("L")) > 0
    # damaged bytes raise whatever the decoder stumbles over, see segdemo.images
    except Exception as error:
        raise InputError("a mask in it is damaged, too large, or no PNG in Base64") from error
    rows, columns = patch.shape
    mask = np.zeros(size, np.bool_)
    if left < 0 or top < 0 or top + rows > size[0] or left + columns > size[1]:
        raise InputError(f"a mask in it leads out of the picture, which is {size[1]} x {size[0]}")
    mask[top : top + rows, left : left + columns] = patch
    return mask


def _class_names(place: Path, folder: Path) -> dict[int, str]:
    """Read the nearest `classes.txt` from a place up to the folder it lies in."""
    while not (place / CLASSES_FILE).is_file():
        if place in (folder, place.parent):
            return {}
        place = place.parent
    lines = _text(place / CLASSES_FILE, CLASSES_FILE).splitlines()
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _text(path: Path, file: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text: export it anew.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error


def _named(error: InputError, file: str) -> str:
    """Put the file's name in front of what is wrong with it, once."""
    text = str(error)
    return text if file in text else f"{file} cannot be used: {text}."
