"""The validation pass over COCO's JSON: what pycocotools would stumble over or score wrongly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.data.validation import FileError
from segdemo.datatypes import InputError

SHOWN = 3  # examples of one kind


class ErrorCollector:
    """Collects what is wrong by kind, with how often and the first examples."""

    def __init__(self, file: str) -> None:
        """file: what the table calls it."""
        self._file = file
        self._found: dict[tuple[str, bool], list[str]] = {}

    def add(self, kind: str, example: str, optional: bool = False) -> None:
        """Note one; `kind` is a clause that follows the count, with the way out."""
        self._found.setdefault((kind, optional), []).append(example)

    def errors(self) -> list[FileError]:
        """Return one error a kind."""
        return [
            FileError(
                self._file,
                f"{len(examples)} {kind} ({', '.join(examples[:SHOWN])}"
                f"{', ..' if len(examples) > SHOWN else ''}).",
                optional,
            )
            for (kind, optional), examples in self._found.items()
        ]


def check_truth(content: Any, file: str) -> list[FileError]:
    """Look through COCO's images and annotations; raises InputError if it is something else."""
    images, annotations = _lists(content, file)
    found = ErrorCollector(file)
    sizes: dict[Any, tuple[int, int]] = {}
    for image in images:
        try:
            number, size = image["id"], (int(image["height"]), int(image["width"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file} has an image without id, height or width: export it again."
            ) from error
        if type(number) is not int:
            raise InputError(f"{file} has the image id {number!r}: ids are whole numbers.")
        if number in sizes:
            found.add("images share an id with another: number them again", f"id {number}")
        sizes[number] = size
    with_masks = any(one.get("segmentation") for one in annotations)
    for place, one in enumerate(annotations, 1):
        label = f"annotation {one.get('id', place)}"
        owner = one.get("image_id")
        if owner not in sizes:
            found.add("annotations of images it lacks", f"{label}: image {owner}", optional=True)
            continue
        if with_masks and "segmentation" not in one:
            found.add("annotations have a box and no mask: leave them out or use boxes", label)
        elif with_masks:
            _check_mask(one["segmentation"], sizes[owner], label, found)
        elif not _is_box(one.get("bbox")):
            found.add("annotations have neither a mask nor a box: export them again", label)
    return found.errors()


def check_results(
    results: Sequence[Any],
    sizes: Mapping[int, tuple[int, int] | None],
    renamed: Mapping[Any, int],
    file: str,
) -> tuple[dict[int, list[Any]], list[FileError]]:
    """Look through predictions; return them by image id, in their order, and the errors.

    sizes: (height, width) of the images by id. renamed: ids of the truth by the file's own.
    """
    found = ErrorCollector(file)
    owned: dict[int, list[Any]] = {}
    for place, one in enumerate(results, 1):
        label = f"prediction {place}"
        if not isinstance(one, dict) or not isinstance(one.get("image_id"), int | float | str):
            found.add("predictions name no image: give each its image_id", label)
            continue
        number = _number(renamed.get(one["image_id"], one["image_id"]))
        if number not in sizes:
            example = f"{label}: image {one['image_id']!r}"
            found.add("predictions are for images the truth lacks", example, optional=True)
            continue
        owned.setdefault(number, []).append(one)
        score = one.get("score", 1)
        if isinstance(score, bool) or not isinstance(score, int | float) or math.isnan(score):
            found.add("scores are not numbers", f"{label}: {score!r}")
        if one.get("segmentation"):
            _check_mask(one["segmentation"], sizes[number], label, found)
        elif not _is_box(one.get("bbox")):
            found.add("predictions have neither a mask nor a box", label)
    if any(o.get("segmentation") for some in owned.values() for o in some) and not all(
        o.get("segmentation") for some in owned.values() for o in some
    ):
        found.add("has masks for some predictions and only boxes for others", "all or none")
    return owned, found.errors()


def _lists(content: Any, file: str) -> tuple[list[Any], list[Any]]:
    match content:
        case {"images": [*images], "annotations": [*annotations]}:
            return images, annotations
    raise InputError(f"{file} is not a COCO JSON of ground truth: it needs images and annotations.")


def _number(value: Any) -> Any:
    """Return a whole number for 7.0 and "7", which some methods write; else the value."""
    try:
        return int(value)
    except (ValueError, OverflowError):
        return value


def _check_mask(
    segmentation: Any, size: tuple[int, int] | None, label: str, found: ErrorCollector
) -> None:
    match segmentation:
        case {"size": [int(height), int(width)], "counts": str() | list()}:
            if size is not None and (height, width) != size:
                found.add(
                    "masks have another size than their image: export them at its size",
                    f"{label}: {width} x {height} for {size[1]} x {size[0]}",
                )
        case [[*points], *_] if len(points) >= 6:
            pass
        case []:
            found.add("masks have no polygon: leave these objects out", label)
        case _:
            found.add("masks are neither polygons nor rle: export them again", label)


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4
