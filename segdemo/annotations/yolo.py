"""YOLO's segmentation labels: one text file per image, one row of numbers per instance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from segdemo.annotations import rle
from segdemo.annotations.categories import Categories
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import fill_counts, join, trace_filled
from segdemo.datatypes import InputError
from segdemo.files import atomic_write, write_text
from segdemo.regular_files import read_regular

CLASSES_FILE = "classes.txt"
DATA_FILE = "data.yaml"
NAME_FILES = (CLASSES_FILE, DATA_FILE, "data.yml", "dataset.yaml", "obj.names")
"""Where names of classes are looked for; the first of a folder counts."""

_SLACK = 1e-3  # how far rounded coordinates may lie outside 0 to 1
_KEYPOINT = 3  # numbers: x, y, and how visible it is
_FEWEST_KEYPOINTS = 5


def read_yolo(path: Path, folder: Path, name: str, collector: MaskCollector, file: str) -> None:
    """Read rows of `class x1 y1 x2 y2 ..`, coordinates as shares of the image's sides.

    One more number in 0 to 1 at the end is the confidence. Names come from one of `NAME_FILES`,
    beside the file or above it, as far as `folder`. Boxes, poses and damaged rows are left out
    and noted. The image's size must be known. Raises InputError.
    """
    key = collector.key(name, file)
    if key is None:
        return
    size = collector.size(key, file)
    rows = [row.split() for row in _text(path, file).splitlines()]
    collector.make_room(key, size, sum(map(bool, rows)), file)
    counts: list[bytes] = []
    categories: list[int] = []
    scores: list[float] = []
    for i, row in enumerate(rows, 1):
        if not row:
            continue
        with collector.notes.guarding(file, f"row {i}"):
            number, corners, score = _parse(row)
            own = fill_counts([(corners * size[::-1]).ravel().tolist()], size)
            if not rle.area(own):
                raise InputError("it covers no pixel")
            if not ((corners >= -_SLACK) & (corners <= 1 + _SLACK)).all():
                collector.notes.change(
                    file, f"row {i}", "what lies outside the image, beyond 0 to 1, was cut off"
                )
            counts.append(own)
            categories.append(number)
            scores.append(score)
    names = read_names(path.parent, folder, collector)
    if categories and not names:
        collector.notes.change_once(
            "YOLO labels",
            f"their classes have no names: put {CLASSES_FILE} or {DATA_FILE} beside them",
        )
    elif unknown := set(categories) - set(names):
        collector.notes.change(file, "", f"class {min(unknown)} has no name in the list of names")
    found = InstanceRuns(
        size,
        tuple(counts),
        np.array(scores, np.float32),
        np.array(categories, np.int64),
        names,
    )
    collector.add(key, found, file)


def read_names(place: Path, folder: Path, collector: MaskCollector) -> dict[int, str]:
    """Read the nearest list of names from a place up to the folder it lies in."""
    while True:
        for name in NAME_FILES:
            if not (place / name).is_file():
                continue
            with collector.notes.guarding(name):
                return read_names_in(place / name)
        if place in (folder, place.parent):
            return {}
        place = place.parent


def write_yolo(
    masks_by_name: Mapping[str, InstanceRuns], folder: Path, omissions: Omissions
) -> None:
    """Write one TXT per image, `classes.txt` and `data.yaml`.

    Classes are numbered from 0 in rising order. Parts of an instance are joined by lines, as
    Ultralytics does it.
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
    labels = [" ".join(name.split()) for name in categories.names.values()]
    write_text("".join(f"{label}\n" for label in labels), folder / CLASSES_FILE)
    data = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(labels))}
    write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), folder / DATA_FILE)


def _parse(row: list[str]) -> tuple[int, npt.NDArray[np.float64], float]:
    """Return class, (N, 2) corners and confidence of a row; raises InputError with the reason."""
    try:
        category = float(row[0])
        numbers = np.array(row[1:], np.float64)
    except ValueError as error:
        raise InputError("it is not a class and numbers") from error
    if not category.is_integer() or not 0 <= category < 2**53:
        raise InputError("classes are whole numbers from 0")
    if len(numbers) in (4, 5):
        raise InputError("it is a box, which says nothing of the mask")
    if len(numbers) < 6:
        raise InputError("its polygon has fewer than three corners")
    if not np.isfinite(numbers).all():
        raise InputError("a coordinate in it is not a number")
    if _is_pose(numbers):
        raise InputError("it is a box with keypoints, which says nothing of the mask")
    score = 1.0
    if len(numbers) % 2:
        score, numbers = float(numbers[-1]), numbers[:-1]
        if not 0 <= score <= 1:
            raise InputError("its coordinates are not pairs, and the last is not a confidence")
    return int(category), numbers.reshape(-1, 2), score


def _is_pose(numbers: npt.NDArray[np.float64]) -> bool:
    """Whether a box is followed by keypoints, each with how visible it is: 0, 1 or 2."""
    visible = numbers[4 + _KEYPOINT - 1 :: _KEYPOINT]
    return bool(
        len(visible) >= _FEWEST_KEYPOINTS
        and (len(numbers) - 4) % _KEYPOINT == 0
        and np.isin(visible, (0, 1, 2)).all()
        and (len(numbers) % 2 or (visible == 2).any())  # corners may lie at 0 and 1 as well
    )


def read_names_in(path: Path) -> dict[int, str]:
    """Read the names of one of `NAME_FILES` by number from 0; raises InputError."""
    text = _text(path, path.name)
    if path.suffix not in (".yaml", ".yml"):
        lines = [line.strip() for line in text.splitlines()]
        return {number: line for number, line in enumerate(lines) if line}
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path.name} is not YAML that can be read: export it again.") from error
    match content:
        case {"names": list(names)}:
            return {number: str(name) for number, name in enumerate(names)}
        case {"names": dict(names)}:
            return {int(number): str(name) for number, name in names.items()}
    raise InputError(f"{path.name} has no list of names: add names.")


def _text(path: Path, file: str) -> str:
    try:
        return read_regular(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not a text file: export it again.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
