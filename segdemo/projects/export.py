"""A project's masks taken out: any format, split into training and validation."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from segdemo.annotations import InstanceRuns, MaskFormat, write_masks
from segdemo.annotations.cutouts import ImagesByName
from segdemo.annotations.yolo import CLASSES_FILE, DATA_FILE, read_names_in
from segdemo.datatypes import InputError
from segdemo.files import write_text
from segdemo.projects.board import ImageRecord, State
from segdemo.projects.project import Project, ProjectMasks

TRAIN, VAL, ALL = "train", "val", "all"
IMAGES, LABELS = "images", "labels"
ONE_FILE = ("coco", "coco-polygons", "panoptic")


@dataclass(frozen=True)
class Exported:
    """What was written. parts: images by train, val or all. said: what was left out."""

    parts: dict[str, int]
    said: list[str]


def export(
    project: Project,
    output: Path,
    mask_format: MaskFormat,
    states: Collection[State],
    val: float = 0.0,
    seed: int = 0,
    with_images: bool = False,
) -> Exported:
    """Write the masks of a project's images in some states below a folder.

    val: the share of images for validation, chosen by their names and the seed, so that most stay
    where they are when images are added; 0: no split. with_images: puts the images beside them, in
    `images`. Raises InputError where there is nothing to write or something is there already, and
    OSError where writing fails.
    """
    if os.path.lexists(output):
        raise InputError(f"{output} exists already: choose another path.")
    records = project.board.all(states)
    said: list[str] = []
    readable = [record for record in records if _is_readable(project, record, said)]
    if not readable:
        chosen = " or ".join(states)
        raise InputError(" ".join(said) or f"{project.root} has no images that are {chosen}.")
    classes = project.classes.known
    stuff = [name for number, name in classes.names.items() if number in classes.stuff]
    parts = split(readable, val, seed) if val else {ALL: readable}
    output.mkdir(parents=True)
    for part, members in parts.items():
        masks = ProjectMasks(project, members)
        images = ImagesByName({record.name: project.path(record) for record in members})
        place = output / LABELS / part if mask_format == "yolo" else output / part
        if mask_format in ONE_FILE:
            place = output / f"{part}.json"
        for sentence in write_masks(masks, place, mask_format, images, stuff=stuff):
            if sentence not in said:
                said.append(sentence)
        if with_images:
            for record in members:
                _copy(project.path(record), output / IMAGES / part / record.name)
    if mask_format == "yolo":
        _describe_yolo(output, list(parts))
    return Exported({part: len(members) for part, members in parts.items()}, said)


def split(records: Sequence[ImageRecord], val: float, seed: int) -> dict[str, list[ImageRecord]]:
    """Split images; `val` in (0, 1) is the share for validation, one at least where there are two.

    Raises InputError where an image is missing for either.
    """
    if len(records) < 2:
        raise InputError("One image cannot be split into training and validation: leave --val out.")
    by_hash = sorted(records, key=lambda record: _hash(record.name, seed))
    count = min(max(round(val * len(records)), 1), len(records) - 1)
    chosen = {record.id for record in by_hash[:count]}
    return {
        TRAIN: [record for record in records if record.id not in chosen],
        VAL: [record for record in records if record.id in chosen],
    }


def _hash(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(errors="surrogateescape")).digest()


def _is_readable(project: Project, record: ImageRecord, said: list[str]) -> bool:
    """Whether an image and its masks can be read; if not, that is said and the rest is written."""
    try:
        found: InstanceRuns = project.masks(record)
    except InputError as error:
        said.append(f"{record.name} was left out: {error}")
        return False
    return found.size[0] > 0


def _copy(image: Path, place: Path) -> None:
    """Copy an image, so that a program that changes the copy leaves the project's as it is."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, place)


def _describe_yolo(output: Path, parts: Sequence[str]) -> None:
    """Write the one `data.yaml` that Ultralytics is given, in place of those beside the labels."""
    names = read_names_in(output / LABELS / parts[0] / CLASSES_FILE)
    train, val = (TRAIN, VAL) if VAL in parts else (ALL, ALL)
    content = {
        "path": ".",
        "train": f"{IMAGES}/{train}",
        "val": f"{IMAGES}/{val}",
        "names": names,
    }
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    write_text(text, output / DATA_FILE)
    for part in parts:
        (output / LABELS / part / DATA_FILE).unlink()
