"""YOLO's segmentation labels: one text file per image, one row of numbers per instance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segdemo.annotations.categories import Categories
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import fill, join, trace_filled
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.files import atomic_write

CLASSES_FILE = "classes.txt"
_SLACK = 1e-3  # how far rounded coordinates may lie outside 0 to 1


def read_yolo(path: Path, folder: Path, name: str, collector: MaskCollector, file: str) -> None:
    """Read rows of `class x1 y1 x2 y2 ..`, coordinates as shares of the image's sides.

    Names come from a `classes.txt`, one a line, beside the file or above it, as far as `folder`.
    The image's size must be known. Raises InputError.
    """
    key = collector.key(name, file)
    if key is None:
        return
    size = collector.size(key, file)
    height, width = size
    rows = _text(path, file).splitlines()
    rows = [row for row in rows if row.strip()]
    collector.make_room(key, size, len(rows), file)
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
                f"{file}: row {i + 1} has {len(corners)} numbers after the class, which is not a "
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
    collector.add(key, InstanceMasks.unscored(masks, categories, names), file)


def write_yolo(
    masks_by_name: Mapping[str, InstanceMasks], folder: Path, omissions: Omissions
) -> None:
    """Write one TXT per image and `classes.txt`; classes are numbered from 0 in rising order.

    Parts of an instance are joined by lines, as Ultralytics does it.
    """
    categories = Categories.of(masks_by_name)
    numbers = {category: number for number, category in enumerate(categories.names)}
    for name in masks_by_name:
        if output_path(folder, name, ".txt") == folder / CLASSES_FILE:
            raise InputError(f"{name} would share {CLASSES_FILE} with the classes: rename it.")
    for name, found in masks_by_name.items():
        omissions.add_scores(found)
        omissions.add_crowds(found)
        height, width = found.size
        rows = []
        for i, mask in enumerate(found.masks):
            outlines = trace_filled(mask)
            omissions.add(
                "YOLO polygons cannot hold holes: {} lost theirs.", int(outlines.holes > 0)
            )
            if not outlines.polygons:
                omissions.add("{} without pixels cannot be polygons and were left out.", 1)
                continue
            omissions.add(
                "YOLO has one polygon an instance: {} in several parts had them joined by lines.",
                int(len(outlines.polygons) > 1),
            )
            corners = np.array(join(outlines.polygons)) / (width, height)
            coordinates = " ".join(f"{value:.7g}" for value in corners.ravel().tolist())
            rows.append(f"{numbers[categories.number(found, i)]} {coordinates}\n")
        with atomic_write(output_path(folder, name, ".txt")) as stream:
            stream.write("".join(rows).encode())
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CLASSES_FILE) as stream:
        lines = [" ".join(name.split()) for name in categories.names.values()]
        stream.write("".join(f"{line}\n" for line in lines).encode())


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
        raise InputError(f"{file} is not a text file: export it again.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
