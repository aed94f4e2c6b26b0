"""COCO's JSON taken apart by image: gone through once, an image's masks are read when needed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segdemo.annotations import InstanceRuns
from segdemo.annotations.coco import as_id, read_coco
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.notes import sentences
from segdemo.datatypes import InputError
from segdemo.projects.json_items import Item, items

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""
Span = tuple[int, int]
"""Where something stands in a text: from its first character to behind its last."""
ELSEWHERE = "annotations of other images"


@dataclass(frozen=True)
class CocoPart:
    """What a file tells of one image. text: JSON of {"images": [one], "annotations": [..]}.

    masks: annotations that have one. boxes: those with a box alone.
    """

    text: str
    masks: int
    boxes: int


@dataclass(frozen=True)
class CocoIndex:
    """What a file tells. categories: of all images. said: what is missing, in sentences."""

    text: str
    images: Mapping[str, tuple[Span, _Annotations]]
    categories: Any
    said: Sequence[str]

    def parts(self) -> Iterator[tuple[str, CocoPart]]:
        """Yield what the file tells of each image, with the image's name."""
        for name, (entry, own) in self.images.items():
            drawn = ",".join(self.text[start:end] for start, end in own.spans)
            text = f'{{"images": [{self.text[slice(*entry)]}], "annotations": [{drawn}]}}'
            yield name, CocoPart(text, own.masks, own.boxes)


def take_apart(text: str, names: Sequence[str], file: str) -> CocoIndex | None:
    """Sort a JSON's annotations by the images wanted, their names given.

    Returns None for what is not COCO's of instances with a list of images; raises ValueError where
    it is damaged.
    """
    if not text.lstrip().startswith("{"):
        return None
    reader = _Reader(names, file)
    categories: Any = None
    listed = counted = False  # whether it has images, and annotations of instances
    for item in items(text, ("images", "annotations")):
        if item.key == "categories":
            categories = item.value
        elif item.key == "images":
            listed = True
            reader.add_image(item)
        elif item.key == "annotations":
            if not counted and not _is_instance(item.value):
                return None
            counted = True
            reader.add_annotation(item)
    if not (listed and counted):
        return None
    return CocoIndex(text, reader.images(), categories, reader.said())


def _is_instance(annotation: Any) -> bool:
    """Whether an annotation is COCO's of an instance, not of a panoptic map, caption or pose."""
    other = {"segments_info", "caption", "keypoints"}
    return isinstance(annotation, dict) and not other & annotation.keys()


@dataclass
class _Annotations:
    """Where one image's annotations stand in the text, and how many are of which kind."""

    spans: list[Span] = field(default_factory=list)
    masks: int = 0
    boxes: int = 0


class _Reader:
    """Sorts the items of a file; those of images and annotations may come in any order."""

    def __init__(self, names: Sequence[str], file: str) -> None:
        self._collector, self._file = MaskCollector(dict.fromkeys(names, (0, 0))), file
        self._entries: dict[Any, tuple[str, Span]] = {}  # an image's name and entry by its id
        self._taken: set[str] = set()
        self._annotations: defaultdict[Any, _Annotations] = defaultdict(_Annotations)
        self._said: list[str] = []
        self._missing: Counter[str] = Counter()

    def add_image(self, item: Item) -> None:
        """Note an entry of the list of images."""
        try:
            number = as_id(item.value["id"])
            key = self._collector.key(str(item.value["file_name"]), self._file)
        except InputError as error:
            self._said.append(str(error))
        except (KeyError, TypeError):
            self._missing["images without id or file_name"] += 1
        else:
            if key is None:
                self._missing["images that are not in this project"] += 1
            elif key in self._taken:
                self._missing["images that come twice"] += 1
            else:
                self._taken.add(key)
                self._entries[number] = key, (item.start, item.end)

    def add_annotation(self, item: Item) -> None:
        """Note an annotation."""
        try:
            own = self._annotations[as_id(item.value["image_id"])]
        except (InputError, KeyError, TypeError):
            self._missing[ELSEWHERE] += 1
            return
        own.spans.append((item.start, item.end))
        if item.value.get("segmentation"):
            own.masks += 1
        else:
            own.boxes += _box(item.value) is not None

    def images(self) -> dict[str, tuple[Span, _Annotations]]:
        """Return the images that have annotations by name: their entry and these."""
        return {
            name: (span, self._annotations[number])
            for number, (name, span) in self._entries.items()
            if number in self._annotations
        }

    def said(self) -> list[str]:
        """Tell what was left out, in sentences."""
        missing = self._missing.copy()
        others = self._annotations.keys() - self._entries.keys()
        if others:
            missing[ELSEWHERE] += sum(len(self._annotations[number].spans) for number in others)
        return self._said + [
            f"{self._file}: {count} {what} were left out." for what, count in missing.items()
        ]


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
        box = _box(annotation)
        if box is not None:
            found.append((box, names.get(str(annotation.get("category_id")))))
    return found


def _box(annotation: Mapping[str, Any]) -> Box | None:
    """Return an annotation's box, None where it has none that can be used."""
    try:
        left, top, width, height = (float(value) for value in annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        return None
    if not all(map(math.isfinite, (left, top, width, height))) or min(width, height) <= 0:
        return None
    return left, top, left + width, top + height
