"""The pictures of a panoptic data set, and predictions matched to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from evaluation.object_files import object_files, picture_size, read_json, read_list, stem
from evaluation.panoptic_sources import (
    VOC_BACKGROUND,
    CodedSegments,
    Coding,
    ListedSegments,
    SegmentSource,
    VocSegments,
)
from evaluation.problems import Problem
from segdemo.annotations.classes import class_names
from segdemo.annotations.coco import MALFORMED
from segdemo.annotations.file_names import path_inside
from segdemo.annotations.folders import LABEL_SUFFIXES
from segdemo.datatypes import InputError

VOC_ROOTS = (".", "VOCdevkit/VOC2012", "VOC2012")
COCO_PLACES = ("annotations/panoptic_val2017.json", "panoptic_val2017.json")


@dataclass(frozen=True)
class TruePicture:
    """One picture. number: COCO's image id, or its place. size: (height, width)."""

    number: int
    name: str
    size: tuple[int, int]
    source: SegmentSource
    files: tuple[Path, ...]


@dataclass(frozen=True)
class PanopticTruth:
    """pictures in their order; things: class -> whether its objects are told apart; names.

    background: the class of pixels that predictions give 0, None if that is void.
    """

    pictures: Sequence[TruePicture]
    things: Mapping[int, bool]
    names: Mapping[int, str]
    background: int | None
    files: tuple[Path, ...] = ()
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Predicted:
    """sources: by the place of their picture; a picture without one is absent."""

    sources: Mapping[int, tuple[SegmentSource, tuple[Path, ...]]]
    files: tuple[Path, ...]
    problems: list[Problem]


def read_truth(path: Path, subset: Path | None = None) -> PanopticTruth:
    """Read COCO's panoptic JSON with its pictures, or VOC's root; raises InputError.

    subset: a list of VOC pictures' names instead of ImageSets/Segmentation/val.txt.
    """
    if path.is_dir():
        for root in (path / name for name in VOC_ROOTS):
            if (root / "SegmentationObject").is_dir():
                return _voc_truth(root, subset)
        places = [path / name for name in COCO_PLACES if (path / name).is_file()]
        if not places:
            raise InputError(f"{path} is neither VOC's root nor COCO's: give the panoptic JSON.")
        path = places[0]
    return _coco_truth(path)


def read_predictions(path: Path, truth: PanopticTruth, coding: Coding | None) -> Predicted:
    """Match predictions to the pictures: a panoptic JSON, or a folder of codes.

    coding: of a folder's files; None finds out by the first. Raises InputError.
    """
    if path.is_dir():
        return _coded(path, truth, coding)
    by_number = {picture.number: place for place, picture in enumerate(truth.pictures)}
    sources: dict[int, tuple[SegmentSource, tuple[Path, ...]]] = {}
    problems = []
    for annotation in _annotations(read_json(path), path):
        place = by_number.get(annotation["image_id"])
        label = f"{path.name}, image {annotation['image_id']}"
        if place is None:
            problems.append(Problem(label, "is no image of the truth.", may_lack=True))
            continue
        if place in sources:
            problems.append(Problem(label, "is listed twice: keep one."))
        picture = _picture(annotation, path)
        unknown = {int(s["category_id"]) for s in annotation["segments_info"]} - set(truth.things)
        if unknown:
            problems.append(Problem(label, f"has class {min(unknown)}, which the truth lacks."))
        if picture is None:
            problems.append(Problem(label, f"needs {annotation['file_name']}: add the picture."))
            continue
        problems += _size_problem(picture, truth.pictures[place])
        sources[place] = (ListedSegments(picture, tuple(annotation["segments_info"])), (picture,))
    return Predicted(sources, (path,), problems + _missing(sources, truth, path))


def _voc_truth(root: Path, subset: Path | None) -> PanopticTruth:
    names = read_list(subset or root / "ImageSets" / "Segmentation" / "val.txt")
    pictures, problems = [], []
    for place, name in enumerate(names, 1):
        files = tuple(root / f"Segmentation{kind}" / f"{name}.png" for kind in ("Object", "Class"))
        lacking = [file for file in files if not file.is_file()]
        if lacking:
            problems.append(Problem(name, f"needs {lacking[0]}.", may_lack=True))
            continue
        size = picture_size(files[0])
        assert size is not None
        pictures.append(TruePicture(place, name, size, VocSegments(*files), files))
    things = {number: number < VOC_BACKGROUND for number in range(1, VOC_BACKGROUND + 1)}
    labels = {**class_names("voc"), VOC_BACKGROUND: "background"}
    return PanopticTruth(pictures, things, labels, VOC_BACKGROUND, (), problems)


def _coco_truth(path: Path) -> PanopticTruth:
    content = read_json(path)
    pictures, problems = [], []
    try:
        things = {int(c["id"]): bool(c["isthing"]) for c in content["categories"]}
        names = {int(c["id"]): str(c.get("name", c["id"])) for c in content["categories"]}
        sizes = {i["id"]: (int(i["height"]), int(i["width"])) for i in content["images"]}
        for annotation in sorted(_annotations(content, path), key=lambda a: int(a["image_id"])):
            picture = _picture(annotation, path)
            number = int(annotation["image_id"])
            if picture is None:
                problems.append(Problem(path.name, f"needs {annotation['file_name']}.", True))
                continue
            source = ListedSegments(picture, tuple(annotation["segments_info"]))
            size = sizes[annotation["image_id"]]
            pictures.append(TruePicture(number, picture.stem, size, source, (picture,)))
            problems += _size_problem(picture, pictures[-1])
    except MALFORMED as error:
        raise InputError(
            f"{path} is no complete panoptic JSON ({error!r}): export anew."
        ) from error
    return PanopticTruth(pictures, things, names, None, (path,), problems)


def _annotations(content: Any, path: Path) -> list[Any]:
    match content:
        case {"annotations": [*annotations]} if all(
            isinstance(one, dict) and {"image_id", "file_name", "segments_info"} <= set(one)
            for one in annotations
        ):
            return annotations
    raise InputError(f"{path} is no panoptic JSON: its annotations need segments_info.")


def _picture(annotation: Mapping[str, Any], path: Path) -> Path | None:
    """Return the picture of ids in the folder of the JSON's name, or beside it."""
    places = [
        path_inside(folder, annotation["file_name"], path.name)
        for folder in (path.with_suffix(""), path.parent)
    ]
    return next((place for place in places if place.is_file()), None)


def _coded(folder: Path, truth: PanopticTruth, coding: Coding | None) -> Predicted:
    files = {f.stem.casefold(): f for f in object_files(folder, (*LABEL_SUFFIXES, ".npy", ".npz"))}
    coding = coding or _guess(next(iter(files.values())))
    sources: dict[int, tuple[SegmentSource, tuple[Path, ...]]] = {}
    problems = []
    for place, picture in enumerate(truth.pictures):
        file = files.pop(stem(picture.name), None)
        if file is not None:
            categories = tuple(sorted(truth.things))
            sources[place] = (CodedSegments(file, coding, categories, truth.background), (file,))
            problems += _size_problem(file, picture)
    for file in files.values():
        problems.append(Problem(file.name, "belongs to no picture of the truth.", may_lack=True))
    return Predicted(sources, (), problems + _missing(sources, truth, folder))


def _guess(file: Path) -> Coding:
    """Return the coding that files of this kind have."""
    if file.suffix.lower() in (".npy", ".npz"):
        return "thousands"
    with Image.open(file) as picture:
        if picture.mode in ("P", "L"):
            return "semantic"
        return "channels" if picture.mode.startswith("RGB") else "thousands"


def _size_problem(file: Path, picture: TruePicture) -> list[Problem]:
    size = picture_size(file)
    if size is None or size == picture.size:
        return []
    (a, b), (c, d) = size, picture.size
    return [Problem(file.name, f"is {b} x {a}, its picture {d} x {c}: save it at that size.")]


def _missing(sources: Mapping[int, Any], truth: PanopticTruth, path: Path) -> list[Problem]:
    return [
        Problem(picture.name, f"has no prediction in {path}.", may_lack=True)
        for place, picture in enumerate(truth.pictures)
        if place not in sources
    ]
