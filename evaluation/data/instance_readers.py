"""Where one image's objects lie: annotations of a JSON, a label map, a file of its own.

Sources are small and survive pickling; objects are read where they are measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from evaluation.data.panoptic_readers import read_indices
from evaluation.metrics.instances import Instances
from segdemo.annotations import read_masks, rle
from segdemo.annotations.classes import VOID as VOC_VOID
from segdemo.annotations.notes import MALFORMED
from segdemo.annotations.stored_ids import read_label_image
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.regular_files import read_regular

IGNORED = 65535  # of 16-bit label maps: nobody knows what is there
IdCoding = Literal["ids", "class and instance", "voc"]
VOC_DARKEST = 14  # luma of the darkest colour in VOC's palette; no image counts from there
CITY_CODE = 256  # KITTI's and Cityscapes' label maps: class * 256 + instance, 0 for stuff


class InstanceReader(Protocol):
    """Instances of one image that can be read."""

    def load(self) -> Instances:
        """Read them; raises InputError."""


@dataclass(frozen=True)
class CocoAnnotations:
    """Instances as COCO's JSON lists them.

    size: the image's (height, width), which polygons need.
    """

    annotations: Sequence[Mapping[str, Any]]
    size: tuple[int, int]

    def load(self) -> Instances:
        """See `InstanceReader`; boxes without masks have no rle."""
        given = self.annotations
        with_masks = all(one.get("segmentation") for one in given)
        rle = [to_rle(one["segmentation"], self.size) for one in given] if with_masks else None
        own = Instances.from_rle(rle) if rle is not None else None
        boxes = np.array(
            [one["bbox"] if "bbox" in one else _box(own, i) for i, one in enumerate(given)], float
        ).reshape(-1, 4)
        areas = own.areas if own is not None else boxes[:, 2] * boxes[:, 3]
        return Instances(
            rle,
            boxes,
            np.array([one.get("area", areas[i]) for i, one in enumerate(given)], float),
            np.array([one.get("score", 1) for one in given], float),
            np.array([bool(one.get("iscrowd", 0)) for one in given], bool),
        )

    def by_class(self, limit: int | None = None) -> dict[int, Instances]:
        """Return class -> its objects, of the `limit` best of the image; raises InputError."""
        scores = [one.get("score", 1) for one in self.annotations]
        best = np.argsort(-np.asarray(scores, float), kind="stable")[:limit]
        owned: dict[int, list[Mapping[str, Any]]] = {}
        for i in sorted(best):
            owned.setdefault(_class(self.annotations[i]), []).append(self.annotations[i])
        return {c: replace(self, annotations=some).load() for c, some in owned.items()}


@dataclass(frozen=True)
class CocoPredictions(CocoAnnotations):
    """PanopticPredictions objects as COCO's JSON lists them; what areas they state does not count.

    box_areas: their sizes are those of the boxes where the first has one, as in pycocotools.
    """

    box_areas: bool = True

    def load(self) -> Instances:
        """See `InstanceReader`."""
        found = super().load()
        if self.box_areas and self.annotations and self.annotations[0].get("bbox"):
            return found.with_box_areas()
        return found.with_mask_areas()


@dataclass(frozen=True)
class LabelMapFile:
    """An image of ids, or of classes and instances in two channels; 65535 is a crowd.

    kind: of ids; "class and instance" has class * 256 + instance, where instance 0 is no object;
    "voc" counts objects from 1, and 255 is no object. box_areas: see `CocoPredictions`.
    """

    path: Path
    kind: IdCoding = "ids"
    box_areas: bool = False

    def load(self) -> Instances:
        """See `InstanceReader`."""
        voc = self.kind == "voc"
        ids = read_indices(self.path) if voc else read_label_image(self.path, self.path.name)
        numbers = np.unique(ids)
        numbers = numbers[numbers > 0]
        if self.kind == "class and instance":
            numbers = numbers[numbers % CITY_CODE > 0]
        elif voc:
            numbers = numbers[numbers != VOC_VOID]
            if len(numbers) and numbers[0] >= VOC_DARKEST:
                raise InputError(
                    f"{self.path.name} counts objects from {numbers[0]}, not from 1: its palette "
                    "may have been read as grey, save its indices"
                )
        masks = [rle.encode(ids == number) for number in numbers]
        found = Instances.from_rle(masks, crowd=numbers == IGNORED)
        return found.with_box_areas() if self.box_areas else found


@dataclass(frozen=True)
class MaskFile:
    """A file of one image's masks in a format that `read_masks` knows."""

    path: Path
    box_areas: bool = False

    def load(self) -> Instances:
        """See `InstanceReader`."""
        read = read_masks(self.path)
        if not read.is_complete:
            raise InputError(" ".join(read.sentences()))
        masks = list(read.values())
        if len(masks) != 1:
            raise InputError(f"{self.path.name} holds masks of {len(masks)} images, not of one.")
        found = from_masks(masks[0])
        return found.with_box_areas() if self.box_areas else found


@dataclass(frozen=True)
class Sa1bFile:
    """A JSON of one image as SA-1B has it: `image` and `annotations` with rle."""

    path: Path

    def load(self) -> Instances:
        """See `InstanceReader`."""
        try:
            content = json.loads(read_regular(self.path))
            size = (int(content["image"]["height"]), int(content["image"]["width"]))
            return CocoAnnotations(content["annotations"], size).load()
        except (OSError, *MALFORMED) as error:
            raise InputError(
                f"{self.path.name} is not a JSON as SA-1B has it ({error})."
            ) from error


@dataclass(frozen=True)
class KittiFile:
    """Boxes in KITTI's text: a line an object; DontCare is a crowd."""

    path: Path

    def load(self) -> Instances:
        """See `InstanceReader`."""
        try:
            lines = [
                line.split()
                for line in read_regular(self.path).decode().splitlines()
                if line.strip()
            ]
            corners = np.array([line[4:8] for line in lines], float).reshape(-1, 4)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path.name} is not a label file of KITTI ({error}).") from error
        boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
        crowd = np.array([line[0] == "DontCare" for line in lines], bool)
        return Instances(None, boxes, boxes[:, 2] * boxes[:, 3], np.ones(len(lines)), crowd)


@dataclass(frozen=True)
class NoInstances:
    """No objects: an image whose predictions are missing."""

    def load(self) -> Instances:
        """See `InstanceReader`."""
        return Instances.from_rle([])


def from_masks(masks: InstanceMasks) -> Instances:
    """Return instances as objects; their scores, crowds and pixels count."""
    return Instances.from_rle(
        [rle.encode(mask) for mask in masks.masks], masks.scores.astype(float), masks.crowd
    )


def to_rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Return polygons, plain or compressed rle as compressed rle."""
    rle: dict[str, Any]
    match segmentation:
        case list():
            rle = mask_api.merge(mask_api.frPyObjects(segmentation, *size))
        case {"counts": list(), "size": [height, width]}:
            rle = mask_api.frPyObjects(dict(segmentation), height, width)
        case _:
            rle = dict(segmentation)
    return rle


def _class(annotation: Mapping[str, Any]) -> int:
    try:
        return int(annotation["category_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("has an object whose category_id is no number") from error


def _box(own: Instances | None, i: int) -> npt.NDArray[np.float64]:
    if own is None:
        raise InputError(f"object {i + 1} has neither a mask nor a box")
    box: npt.NDArray[np.float64] = own.boxes[i]
    return box
