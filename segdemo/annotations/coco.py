"""COCO's JSON of instances: data sets, lists of results, SA-1B's and MaskCut's variants."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from segdemo.annotations import rle
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.notes import MALFORMED
from segdemo.annotations.segmentations import fits, read_segmentation
from segdemo.datatypes import InputError


@dataclass(frozen=True)
class _Image:
    """A file's record of an image. size: (height, width), None where the file has none."""

    name: str
    size: tuple[int, int] | None


def read_coco(content: Any, collector: MaskCollector, file: str) -> None:
    """Read a parsed JSON of images, annotations and categories; polygons, runs and crowds.

    Scores are 1 where the file has none. Sizes are those of the list of images; where all runs
    of an image have its width and height swapped, as MaskCut writes them, the runs are believed.
    An image or annotation that cannot be used is left out and noted. Raises InputError for a list
    of images that is none.
    """
    images = [content["image"]] if "image" in content else content["images"]
    records = _image_records(images, collector, file)
    names = _category_names(content.get("categories"), collector, file)
    given: dict[Any, list[tuple[str, Any]]] = {image_id: [] for image_id in records}
    alone = next(iter(records), None) if "image" in content else None
    for i, annotation in enumerate(content["annotations"], 1):
        entry = _entry(annotation, i)
        with collector.notes.guarding(file, entry):
            owner = as_id(annotation.get("image_id", alone))
            if owner not in given:
                raise InputError(f"the file lists no image {owner}")
            given[owner].append((entry, annotation))
    stated = {number: record.size for number, record in records.items() if record is not None}
    swapped = {
        number
        for number, size in stated.items()
        if size and _is_swapped(size, [annotation for _, annotation in given[number]])
    }
    for number, record in records.items():
        if record is None:  # noted where it was found
            continue
        with collector.notes.guarding(file, record.name):
            key = collector.key(record.name, file)
            if key is None:
                continue
            size = record.size or collector.size(key, file)
            # an image without masks shows nothing itself, but the file swaps all or none
            if number in swapped or (swapped and not given[number]):
                size = size[::-1]
            _read_image(key, size, given[number], names, collector, file)


def read_results(content: list[Any], collector: MaskCollector, file: str) -> None:
    """Read a list of results with runs.

    Images are known by their file names, or by the number their name ends in.
    """
    given: dict[Any, list[tuple[str, Any]]] = {}
    for i, result in enumerate(content, 1):
        entry = f"result {i}"
        with collector.notes.guarding(file, entry):
            owner = as_id(result.get("file_name", result["image_id"]))
            given.setdefault(owner, []).append((entry, result))
    for owner, results in given.items():
        with collector.notes.guarding(file, f"image {owner}"):
            key = collector.key(str(owner), file)
            if key is None and isinstance(owner, int):
                key = collector.key_by_number(owner, file)
            if key is not None:
                _read_image(
                    key, _size_of(key, results, collector, file), results, {}, collector, file
                )


def read_sam(content: list[Any], name: str, collector: MaskCollector, file: str) -> None:
    """Read the list that SAM's automatic mask generator writes for the image `name`."""
    key = collector.key(name, file)
    if key is not None:
        masks = [(f"mask {i}", mask) for i, mask in enumerate(content, 1)]
        _read_image(key, _size_of(key, masks, collector, file), masks, {}, collector, file)


def as_id(value: Any) -> Any:
    """Return an id so that 1, 1.0 and "1" are one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and value == str(int(value)):
        return int(value)
    if not isinstance(value, str | int):
        raise InputError("it does not say which image it belongs to")
    return value


def _image_records(images: Any, collector: MaskCollector, file: str) -> dict[Any, _Image | None]:
    """Return the records by id; None for an id that several images have."""
    if not isinstance(images, list):
        raise InputError(f"{file} is not a complete COCO JSON: export it again.")
    records: dict[Any, _Image | None] = {}
    twice: dict[Any, list[str]] = {}
    for i, image in enumerate(images, 1):
        with collector.notes.guarding(file, f"image {i} of the list"):
            number = as_id(image["id"] if "id" in image else image["image_id"])
            record = _Image(_file_name(image), _stated_size(image))
            known = records.setdefault(number, record)
            if known != record:
                twice.setdefault(number, [known.name] if known else []).append(record.name)
                records[number] = None
    for number, names in twice.items():
        collector.notes.leave_out(
            file,
            f"image {number}",
            f"{len(names)} images have this id, {names[0]} and {names[1]}: give each its own",
        )
    return records


def _file_name(image: Mapping[str, Any]) -> str:
    """Return an image's name; LVIS has none but that at the end of its URL."""
    for field in ("file_name", "coco_url", "flickr_url", "path"):
        if isinstance(image.get(field), str) and image[field]:
            name: str = image[field]
            return name if field == "file_name" else PurePosixPath(name).name
    raise InputError("it has no file_name")


def _stated_size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    if image.get("height") is None or image.get("width") is None:
        return None
    return int(image["height"]), int(image["width"])


def _category_names(given: Any, collector: MaskCollector, file: str) -> dict[int, str]:
    names: dict[int, str] = {}
    if given is not None and not isinstance(given, list):
        collector.notes.leave_out(file, "categories", "they are not a list")
        return names
    for i, category in enumerate(given or (), 1):
        with collector.notes.guarding(file, f"category {i} of the list"):
            names[int(category["id"])] = str(category["name"])
    return names


def _entry(annotation: Any, i: int) -> str:
    if isinstance(annotation, Mapping) and isinstance(annotation.get("id"), int | str):
        return f"annotation {annotation['id']}"
    return f"annotation {i} of the list"


def _size_of(
    key: str, masks: list[tuple[str, Any]], collector: MaskCollector, file: str
) -> tuple[int, int]:
    """Return an image's (height, width), without a list of images that of its first runs."""
    for _, mask in masks:
        with suppress(InputError, *MALFORMED):
            return rle.runs_size(rle.normalise(mask["segmentation"], (0, 0)))
    return collector.size(key, file)


def _is_swapped(stated: tuple[int, int], annotations: list[Any]) -> bool:
    """Whether all masks of an image are runs of (width, height) in place of the stated size."""
    if not annotations or stated[0] == stated[1]:
        return False
    for annotation in annotations:
        match annotation:
            case {"segmentation": {"size": [width, height]}} if (height, width) == stated:
                continue
        return False
    return True


def _read_image(
    key: str,
    size: tuple[int, int],
    annotations: list[tuple[str, Any]],
    names: dict[int, str],
    collector: MaskCollector,
    file: str,
) -> None:
    """Read the annotations of one image, each with what notes call it."""
    size = _upright(key, size, annotations, collector, file)
    collector.make_room(key, size, len(annotations), file)
    counts: list[bytes] = []
    scores: list[float] = []
    crowd: list[bool] = []
    categories: list[int] = []
    for entry, annotation in annotations:
        with collector.notes.guarding(file, entry):
            own, change = read_segmentation(annotation.get("segmentation"), size)
            category = int(annotation.get("category_id", 1))
            if not 0 <= category < 2**63:
                raise InputError(f"category {category} is not a number from 0")
            if names and category not in names:
                change = change or f"the file lists no category {category}, it has no name"
            score = annotation.get("score", annotation.get("predicted_iou", 1))
            if not isinstance(score, int | float) or not np.isfinite(score):
                score, change = 1, change or "its score is not a number, 1 was taken"
            if change:
                collector.notes.change(file, entry, change)
            counts.append(own)
            scores.append(score)
            crowd.append(bool(annotation.get("iscrowd", 0)))
            categories.append(category)
    found = InstanceRuns(
        size,
        tuple(counts),
        np.array(scores, np.float32),
        np.array(categories, np.int64),
        names,
        np.array(crowd, np.bool_) if any(crowd) else None,
    )
    collector.add(key, found, file)


def _upright(
    key: str,
    stated: tuple[int, int],
    annotations: list[tuple[str, Any]],
    collector: MaskCollector,
    file: str,
) -> tuple[int, int]:
    """Return the size masks are in: the image's where the stated one is that before EXIF turns it.

    Tools that show photos upright draw upright, and some write the stored width and height.
    """
    wanted = collector.wanted_size(key)
    if wanted is None or wanted == stated or wanted[::-1] != stated:
        return stated
    if not all(fits(annotation.get("segmentation"), wanted) for _, annotation in annotations):
        return stated
    collector.notes.change(
        file,
        key,
        "width and height are swapped, those before EXIF turns the photo; its masks fit upright "
        "and were taken so",
    )
    return wanted
