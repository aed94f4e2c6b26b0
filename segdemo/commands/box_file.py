"""COCO's JSON of boxes, read and filled."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segdemo.annotations.file_names import without_suffix
from segdemo.datatypes import InputError
from segdemo.files import ImageFile, find_images
from segdemo.regular_files import read_regular

MOST_BYTES = 4_000_000_000  # of a JSON of boxes

Box = tuple[int, list[float]]
"""An annotation's place in its list, and [left, top, width, height]."""


@dataclass(frozen=True)
class BoxFile:
    """A parsed JSON and the images it is about.

    boxes: by the image's path. problems: a sentence for each entry that is not asked about.
    digest: of the file.
    """

    content: dict[str, Any]
    image_files: list[ImageFile]
    boxes: dict[Path, list[Box]]
    digest: str
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, images: Iterable[Path], replace: bool) -> BoxFile:
        """Read the JSON and find its images; raises InputError where there is nothing to do."""
        try:
            data = read_regular(file, MOST_BYTES)
            content = json.loads(data)
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}).") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file} is corrupt or no JSON: export it again.") from error
        lists = (
            content.get(name) if isinstance(content, dict) else None
            for name in ("images", "annotations")
        )
        if not all(isinstance(one, list) for one in lists):
            raise InputError(f"{file} is not COCO's JSON: it needs `images` and `annotations`.")
        problems: list[str] = []
        owners = _match_images(content["images"], find_images(images), problems)
        boxes: dict[Path, list[Box]] = {}
        for place, entry in enumerate(content["annotations"]):
            name = f"{file.name}: annotation {place + 1}"
            if isinstance(entry, dict) and entry.get("segmentation") and not replace:
                continue
            owner, box = _owner_and_box(entry, owners)
            if isinstance(box, str) or owner is None:
                problems.append(f"{name} {box}")
            else:
                boxes.setdefault(owner.path, []).append((place, box))
        files = [one for one in dict.fromkeys(filter(None, owners.values())) if one.path in boxes]
        if not files:
            said = " ".join(problems[:3]) or "every annotation has a segmentation already."
            raise InputError(f"{file} has no box to make a mask of: {said}")
        return cls(content, files, boxes, hashlib.blake2b(data).hexdigest(), problems)

    def filled(self, answers: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the JSON with what annotations get, by their places; boxes stay as given."""
        annotations = [
            entry | answers[place] if place in answers else entry
            for place, entry in enumerate(self.content["annotations"])
        ]
        return self.content | {"annotations": annotations}


def _match_images(
    entries: Sequence[Any], files: Sequence[ImageFile], problems: list[str]
) -> dict[Any, ImageFile | None]:
    """Return the file of each image's id, by file name with or without folders and ending."""
    known: dict[str, ImageFile] = {}
    for file in reversed(files):
        for name in (file.path.stem, file.path.name, file.stem, file.name):
            known[name.casefold()] = file
    owners: dict[Any, ImageFile | None] = {}
    for place, entry in enumerate(entries, 1):
        try:
            name, number = str(entry["file_name"]).replace("\\", "/"), entry["id"]
            hash(number)
        except (KeyError, TypeError):
            problems.append(f"Image {place} of the list has no usable id and file_name.")
            continue
        short = name.rpartition("/")[2]
        tried = (name, without_suffix(name), short, without_suffix(short))
        owners[number] = next((known[t.casefold()] for t in tried if t.casefold() in known), None)
        if owners[number] is None:
            problems.append(f"{name}: no such photo among --images.")
    return owners


def _owner_and_box(
    entry: Any, owners: dict[Any, ImageFile | None]
) -> tuple[ImageFile | None, list[float] | str]:
    """Return an annotation's image and box, or what is wrong with it."""
    if not isinstance(entry, dict):
        return None, "is not an object with image_id and bbox."
    number = entry.get("image_id")
    try:
        owner = owners[number]
    except (KeyError, TypeError):
        return None, f"has the image_id {number!r:.40}, which the list of images lacks."
    if owner is None:
        return None, "belongs to a photo that is not there."
    try:
        box = [float(value) for value in entry["bbox"]]
    except (KeyError, TypeError, ValueError):
        return owner, "has no bbox of four numbers."
    if len(box) != 4 or not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        return owner, f"has the bbox {entry['bbox']!r:.60}: give left, top, width, height above 0."
    return owner, box
