"""LabelMe's JSON, one file per image: polygons and other shapes."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.annotations import rle
from segdemo.annotations.categories import Categories
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import fill_counts, trace
from segdemo.datatypes import InputError
from segdemo.files import write_json
from segdemo.images import MAX_PIXELS

# Those of LabelMe and X-AnyLabeling that have an inside; null stands for a polygon
_OUTLINES = {"polygon", "rotation", "oriented_rectangle", "quadrilateral", None}
_SHAPES = {*_OUTLINES, "rectangle", "circle", "mask"}
_CIRCLE_CORNERS = 72


def read_labelme(content: Any, name: str, collector: MaskCollector, file: str) -> None:
    """Read a parsed LabelMe JSON; shapes of one label and group are one instance.

    The image is the one the JSON names, in the JSON's sub-folder; where that is none of those
    wanted, as after renaming, the one called like the JSON. Lines and points have no inside: they
    and damaged shapes are left out and noted. Raises InputError.
    """
    key = _image_key(content, name, collector, file)
    if key is None:
        return
    height, width = content.get("imageHeight"), content.get("imageWidth")
    size = (int(height), int(width)) if height and width else collector.size(key, file)
    collector.make_room(key, size, 0, file)
    instances: dict[Any, _Instance] = {}
    for i, shape in enumerate(content["shapes"], 1):
        entry = f"shape {i}"
        with collector.notes.guarding(file, entry):
            entry = f"shape {i} ({shape['label']})"
        with collector.notes.guarding(file, entry):
            label, group = str(shape["label"]), shape.get("group_id")
            owner = (i,) if group is None else (label, str(group))
            own, score = _shape_counts(shape, size), shape.get("score")
            instance = instances.setdefault(owner, _Instance(label, []))
            instance.parts.append(own)
            if isinstance(score, int | float) and np.isfinite(score):
                instance.score = float(score)
    collector.make_room(key, size, len(instances), file)
    counts = tuple(rle.merge(instance.parts, size) for instance in instances.values())
    labels = [instance.label for instance in instances.values()]
    categories = np.array([collector.category(label) for label in labels], np.int64)
    names = {collector.category(label): label for label in labels}
    scores = np.array([instance.score for instance in instances.values()], np.float32)
    collector.add(key, InstanceRuns(size, counts, scores, categories, names), file)


def write_labelme(
    masks_by_name: Mapping[str, InstanceRuns],
    folder: Path,
    omissions: Omissions,
    images: Mapping[str, Path] | None = None,
) -> None:
    """Write one JSON per image: a polygon for each region, its holes cut open.

    Regions of one instance share a group. images: where the images lie, by name, so that LabelMe
    finds them from the JSON; None: beside the JSON.
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
        file = output_path(folder, name, ".json")
        image = PurePosixPath(name).name
        if images is not None:
            image = Path(os.path.relpath(images[name], file.parent)).as_posix()
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": image,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_json(content, file)


@dataclass
class _Instance:
    label: str
    parts: list[bytes]
    score: float = 1.0


def _image_key(content: Any, name: str, collector: MaskCollector, file: str) -> str | None:
    # imagePath leads from the JSON to the image, often by way of ".."
    path = str(content.get("imagePath") or name)
    image = PureWindowsPath(path).name or name
    key = collector.key(PurePosixPath(name).with_name(image).as_posix(), file)
    own = collector.key(name, file)
    if key is None and own is not None:
        collector.notes.change(
            file, own, f"imagePath says {image}, which is none of the images: the name was believed"
        )
        return own
    if collector.names is not None and own not in (None, key):
        raise InputError(
            f"{file} is called like {own}, but its imagePath says {key}: correct one of them."
        )
    return key


def _shape_counts(shape: Mapping[str, Any], size: tuple[int, int]) -> bytes:
    """Return the compressed runs of one shape; raises InputError with the reason alone."""
    kind = shape.get("shape_type", "polygon") or None
    if kind not in _SHAPES:
        raise InputError(f"a shape of the type {kind} has no inside that is known here")
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise InputError("a point in it is not a number")
    if kind == "mask":
        return rle.encode_counts(_pasted_mask(shape, points, size))
    if kind in _OUTLINES or (kind == "rectangle" and len(points) == 4):
        if len(points) < 3:
            raise InputError("it has fewer than three corners")
        return _filled(points, size)
    if len(points) != 2:
        raise InputError(f"a {kind} has 2 points, this one {len(points)}")
    (x1, y1), (x2, y2) = points
    if kind == "rectangle":
        return _filled(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]), size)
    turns = np.linspace(0, 2 * np.pi, _CIRCLE_CORNERS, endpoint=False)
    radius = np.hypot(x2 - x1, y2 - y1)  # the second point lies on the circle around the first
    return _filled(
        np.column_stack([x1 + radius * np.cos(turns), y1 + radius * np.sin(turns)]), size
    )


def _filled(corners: npt.NDArray[np.float64], size: tuple[int, int]) -> bytes:
    counts = fill_counts([corners.ravel().tolist()], size)
    if not rle.area(counts):
        raise InputError("it covers no pixel")
    return counts


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
