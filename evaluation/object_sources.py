"""Where one picture's objects lie: annotations of a JSON, a label map, a file of its own.

Sources are small and survive pickling; objects are read where they are measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from evaluation.objects import Objects
from evaluation.panoptic_sources import read_indices
from segdemo.annotations import read_masks, rle
from segdemo.annotations.classes import VOID as VOC_VOID
from segdemo.annotations.coco import MALFORMED
from segdemo.annotations.label_images import read_label_image
from segdemo.datatypes import InputError, InstanceMasks

IGNORED = 65535  # of 16-bit label maps: nobody knows what is there
MapKind = Literal["ids", "class and instance", "voc"]
VOC_DARKEST = 14  # luma of the darkest colour in VOC's palette; no picture counts from there
CITY_CODE = 256  # KITTI's and Cityscapes' label maps: class * 256 + instance, 0 for stuff


class ObjectSource(Protocol):
    """Objects of one picture that can be read."""

    def load(self) -> Objects:
        """Read them; raises InputError."""


@dataclass(frozen=True)
class Annotations:
    """Objects as COCO's JSON lists them.

    size: the picture's (height, width), which polygons need.
    """

    annotations: Sequence[Mapping[str, Any]]
    size: tuple[int, int]

    def load(self) -> Objects:
        """See `ObjectSource`; boxes without masks have no runs."""
        given = self.annotations
        with_masks = all(one.get("segmentation") for one in given)
        runs = [as_runs(one["segmentation"], self.size) for one in given] if with_masks else None
        own = Objects.of_runs(runs) if runs is not None else None
        boxes = np.array(
            [one["bbox"] if "bbox" in one else _box(own, i) for i, one in enumerate(given)], float
        ).reshape(-1, 4)
        areas = own.areas if own is not None else boxes[:, 2] * boxes[:, 3]
        return Objects(
            runs,
            boxes,
            np.array([one.get("area", areas[i]) for i, one in enumerate(given)], float),
            np.array([one.get("score", 1) for one in given], float),
            np.array([bool(one.get("iscrowd", 0)) for one in given], bool),
        )


@dataclass(frozen=True)
class Results(Annotations):
    """Predicted objects as COCO's JSON lists them; what areas they state does not count.

    box_areas: their sizes are those of the boxes where the first has one, as in pycocotools.
    """

    box_areas: bool = True

    def load(self) -> Objects:
        """See `ObjectSource`."""
        found = super().load()
        if self.box_areas and self.annotations and self.annotations[0].get("bbox"):
            return found.with_box_areas()
        return found.with_mask_areas()


@dataclass(frozen=True)
class LabelMapFile:
    """A picture of ids, or of classes and instances in two channels; 65535 is a crowd.

    kind: of ids; "class and instance" has class * 256 + instance, where instance 0 is no object;
    "voc" counts objects from 1, and 255 is no object. box_areas: see `Results`.
    """

    path: Path
    kind: MapKind = "ids"
    box_areas: bool = False

    def load(self) -> Objects:
        """See `ObjectSource`."""
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
        runs = [rle.encode(ids == number) for number in numbers]
        found = Objects.of_runs(runs, crowd=numbers == IGNORED)
        return found.with_box_areas() if self.box_areas else found


@dataclass(frozen=True)
class MaskFile:
    """A file of one picture's masks in a format that `read_masks` knows."""

    path: Path
    box_areas: bool = False

    def load(self) -> Objects:
        """See `ObjectSource`."""
        masks = list(read_masks(self.path).values())
        if len(masks) != 1:
            raise InputError(f"{self.path.name} holds masks of {len(masks)} pictures, not of one.")
        found = of_masks(masks[0])
        return found.with_box_areas() if self.box_areas else found


@dataclass(frozen=True)
class PictureJson:
    """A JSON of one picture as SA-1B has it: `image` and `annotations` with runs."""

    path: Path

    def load(self) -> Objects:
        """See `ObjectSource`."""
        try:
            content = json.loads(self.path.read_bytes())
            size = (int(content["image"]["height"]), int(content["image"]["width"]))
            return Annotations(content["annotations"], size).load()
        except (OSError, *MALFORMED) as error:
            raise InputError(f"{self.path.name} is no JSON as SA-1B has it ({error}).") from error


@dataclass(frozen=True)
class KittiLabels:
    """Boxes in KITTI's text: a line an object; DontCare is a crowd."""

    path: Path

    def load(self) -> Objects:
        """See `ObjectSource`."""
        try:
            lines = [line.split() for line in self.path.read_text().splitlines() if line.strip()]
            corners = np.array([line[4:8] for line in lines], float).reshape(-1, 4)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path.name} is no label file of KITTI ({error}).") from error
        boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
        crowd = np.array([line[0] == "DontCare" for line in lines], bool)
        return Objects(None, boxes, boxes[:, 2] * boxes[:, 3], np.ones(len(lines)), crowd)


@dataclass(frozen=True)
class Nothing:
    """No objects: a picture whose predictions are missing."""

    def load(self) -> Objects:
        """See `ObjectSource`."""
        return Objects.of_runs([])


def of_masks(masks: InstanceMasks) -> Objects:
    """Return instances as objects; their scores, crowds and pixels count."""
    return Objects.of_runs(
        [rle.encode(mask) for mask in masks.masks], masks.scores.astype(float), masks.crowd
    )


def as_runs(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Return polygons, plain or compressed runs as compressed runs."""
    runs: dict[str, Any]
    match segmentation:
        case list():
            runs = mask_api.merge(mask_api.frPyObjects(segmentation, *size))
        case {"counts": list(), "size": [height, width]}:
            runs = mask_api.frPyObjects(dict(segmentation), height, width)
        case _:
            runs = dict(segmentation)
    return runs


def _box(own: Objects | None, i: int) -> npt.NDArray[np.float64]:
    if own is None:
        raise InputError(f"object {i + 1} has neither a mask nor a box")
    box: npt.NDArray[np.float64] = own.boxes[i]
    return box
