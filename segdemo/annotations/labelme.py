"""LabelMe's JSON, one file per image: polygons and other shapes."""

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
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import fill, trace
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.files import write_json
from segdemo.images import MAX_PIXELS

logger = logging.getLogger(__name__)

_SHAPES = {"polygon", "rectangle", "circle", "mask"}  # LabelMe's shapes that have an inside
_CIRCLE_CORNERS = 72


def read_labelme(content: Any, name: str, collector: MaskCollector, file: str) -> None:
    """Read a parsed LabelMe JSON; shapes of one label and group are one instance.

    The image is the one the JSON names, else the JSON's own name, both in the JSON's sub-folder.
    Lines and points have no inside and are skipped. Raises InputError.
    """
    try:
        # imagePath leads from the JSON to the image, often by way of ".."
        image = PureWindowsPath(str(content.get("imagePath") or name)).name
        key = collector.key(PurePosixPath(name).with_name(image).as_posix(), file)
        if key is None:
            return
        height, width = content.get("imageHeight"), content.get("imageWidth")
        size = (int(height), int(width)) if height and width else collector.size(key, file)
        parts: dict[Any, list[Any]] = {}
        for i, shape in enumerate(content["shapes"]):
            if shape.get("shape_type", "polygon") not in _SHAPES:
                logger.info("%s: a %s has no inside and is left out", file, shape["shape_type"])
                continue
            group = shape.get("group_id")
            owner = (i,) if group is None else (str(shape["label"]), str(group))
            parts.setdefault(owner, []).append(shape)
        collector.make_room(key, size, len(parts), file)
        masks = np.zeros((len(parts), *size), np.bool_)
        labels = [str(shapes[0]["label"]) for shapes in parts.values()]
        for mask, shapes in zip(masks, parts.values(), strict=True):
            for shape in shapes:
                mask |= _shape_mask(shape, size)
    except InputError as error:
        raise InputError(_named(error, file)) from error
    except MALFORMED as error:
        raise InputError(
            f"{file} is not a complete LabelMe JSON ({type(error).__name__}: {error}): save it "
            "again."
        ) from error
    categories = np.array([collector.category(label) for label in labels], np.int64)
    names = {collector.category(label): label for label in labels}
    collector.add(key, InstanceMasks.unscored(masks, categories, names), file)


def write_labelme(
    masks_by_name: Mapping[str, InstanceMasks], folder: Path, omissions: Omissions
) -> None:
    """Write one JSON per image: a polygon for each region, its holes cut open.

    Regions of one instance share a group.
    """
    categories = Categories.of(masks_by_name)
    for name, found in masks_by_name.items():
        omissions.add_scores(found)
        omissions.add_crowds(found)
        shapes: list[Any] = []
        for i, mask in enumerate(found.masks):
            polygons = trace(mask).polygons
            omissions.add("{} without pixels cannot be polygons and were left out.", not polygons)
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
        write_json(content, output_path(folder, name, ".json"))


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
        with Image.open(stream, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too large")
            patch = np.asarray(image.convert("L")) > 0
    # what damaged bytes raise differs by decoder, see segdemo.images
    except Exception as error:
        raise InputError("a mask in it is damaged, too large, or no PNG in Base64") from error
    rows, columns = patch.shape
    mask = np.zeros(size, np.bool_)
    if left < 0 or top < 0 or top + rows > size[0] or left + columns > size[1]:
        raise InputError(f"a mask in it leads out of the image, which is {size[1]} x {size[0]}")
    mask[top : top + rows, left : left + columns] = patch
    return mask


def _named(error: InputError, file: str) -> str:
    """Put the file's name in front of what is wrong with it, once."""
    text = str(error)
    return text if file in text else f"{file} cannot be used: {text}."
