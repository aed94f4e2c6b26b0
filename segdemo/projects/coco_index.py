"""COCO's JSON taken apart by image: parsed once, an image's masks are read when it needs them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segdemo.annotations import InstanceRuns
from segdemo.annotations.coco import as_id, read_coco
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.notes import sentences
from segdemo.datatypes import InputError

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""


@dataclass(frozen=True)
class CocoIndex:
    """A file's parts. parts: {"images": [one], "annotations": [..]} by the image's name.

    categories: of all. said: what is missing, in sentences.
    """

    parts: Mapping[str, dict[str, Any]]
    categories: Any
    said: Sequence[str]


def is_coco(content: Any) -> bool:
    """Whether a parsed JSON is COCO's of instances, with a list of images."""
    match content:
        case {"images": list(), "annotations": [dict() as first, *_]}:
            return not {"segments_info", "caption", "keypoints"} & first.keys()
        case _:
            return False


def take_apart(content: Mapping[str, Any], names: Sequence[str], file: str) -> CocoIndex:
    """Sort a file's annotations by the images wanted; names: theirs."""
    collector = MaskCollector(dict.fromkeys(names, (0, 0)))
    said: list[str] = []
    missing: Counter[str] = Counter()
    parts: dict[str, dict[str, Any]] = {}
    by_id: dict[Any, dict[str, Any]] = {}
    for entry in content["images"]:
        try:
            name, number = str(entry["file_name"]), as_id(entry["id"])
            key = collector.key(name, file)
        except (InputError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                said.append(str(error))
            else:
                missing["images without id or file_name"] += 1
            continue
        if key is None:
            missing["images that are not in this project"] += 1
        elif key in parts:
            missing["images that come twice"] += 1
        else:
            parts[key] = by_id[number] = {"images": [entry], "annotations": []}
    for annotation in content["annotations"]:
        try:
            by_id[as_id(annotation["image_id"])]["annotations"].append(annotation)
        except (InputError, KeyError, TypeError):
            missing["annotations of other images"] += 1
    said += [f"{file}: {count} {what} were left out." for what, count in missing.items()]
    kept = {name: part for name, part in parts.items() if part["annotations"]}
    return CocoIndex(kept, content.get("categories"), said)


def masks_of(
    part: Mapping[str, Any], categories: Any, name: str, size: tuple[int, int], file: str
) -> tuple[InstanceRuns | None, list[str]]:
    """Read one image's masks; boxes alone are none. Returns also what was left out."""
    drawn = [one for one in part["annotations"] if one.get("segmentation")]
    content = {**part, "annotations": drawn, "categories": categories}
    collector = MaskCollector({name: size})
    if drawn:
        read_coco(content, collector, file)
    return collector.found.get(name), sentences(collector.notes)


def count_masks(part: Mapping[str, Any]) -> int:
    """Count the annotations of an image that have a mask."""
    return sum(bool(one.get("segmentation")) for one in part["annotations"])


def boxes_of(part: Mapping[str, Any], categories: Any) -> list[tuple[Box, str | None]]:
    """Return the boxes of annotations without a mask, and the names of their classes."""
    names: dict[Any, str] = {}
    for one in categories or ():
        if isinstance(one, dict) and "id" in one:
            names[str(one["id"])] = str(one.get("name", f"class {one['id']}"))
    found: list[tuple[Box, str | None]] = []
    for annotation in part["annotations"]:
        if annotation.get("segmentation"):
            continue
        try:
            left, top, width, height = (float(value) for value in annotation["bbox"])
        except (KeyError, TypeError, ValueError):
            continue
        if all(map(math.isfinite, (left, top, width, height))) and min(width, height) > 0:
            label = names.get(str(annotation.get("category_id")))
            found.append(((left, top, left + width, top + height), label))
    return found
