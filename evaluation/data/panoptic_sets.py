"""The images of a panoptic data set, and predictions matched to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from evaluation.data.files import instance_files, read_json, read_list, size_in_header, stem
from evaluation.data.panoptic_readers import (
    VOC_BACKGROUND,
    CodedSegments,
    Coding,
    SegmentReader,
    VocSegments,
)
from evaluation.data.validation import FileError
from segdemo.annotations.classes import class_names
from segdemo.annotations.file_names import path_inside
from segdemo.annotations.folders import LABEL_SUFFIXES
from segdemo.annotations.notes import MALFORMED
from segdemo.annotations.panoptic_segments import CocoSegments
from segdemo.datatypes import InputError

VOC_ROOTS = (".", "VOCdevkit/VOC2012", "VOC2012")
COCO_PLACES = ("annotations/panoptic_val2017.json", "panoptic_val2017.json")


@dataclass(frozen=True)
class PanopticImage:
    """One image. number: COCO's image id, or its place. size: (height, width)."""

    number: int
    name: str
    size: tuple[int, int]
    reader: SegmentReader
    files: tuple[Path, ...]


@dataclass(frozen=True)
class PanopticTruth:
    """images in their order; things: class -> whether its objects are told apart; names.

    background: the class of pixels that predictions give 0, None if that is void.
    """

    images: Sequence[PanopticImage]
    things: Mapping[int, bool]
    names: Mapping[int, str]
    background: int | None
    files: tuple[Path, ...] = ()
    errors: list[FileError] = field(default_factory=list)


@dataclass(frozen=True)
class PanopticPredictions:
    """readers: by the place of their image; an image without one is absent."""

    readers: Mapping[int, tuple[SegmentReader, tuple[Path, ...]]]
    files: tuple[Path, ...]
    errors: list[FileError]


def read_truth(path: Path, subset: Path | None = None) -> PanopticTruth:
    """Read COCO's panoptic JSON with its images, or VOC's root; raises InputError.

    subset: a list of VOC images' names instead of ImageSets/Segmentation/val.txt.
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


def read_predictions(
    path: Path, truth: PanopticTruth, coding: Coding | None
) -> PanopticPredictions:
    """Match predictions to the images: a panoptic JSON, or a folder of codes.

    coding: of a folder's files; None finds out by the first. Raises InputError.
    """
    if path.is_dir():
        return _coded(path, truth, coding)
    by_number = {image.number: place for place, image in enumerate(truth.images)}
    readers: dict[int, tuple[SegmentReader, tuple[Path, ...]]] = {}
    errors = []
    for annotation in _annotations(read_json(path), path):
        place = by_number.get(annotation["image_id"])
        label = f"{path.name}, image {annotation['image_id']}"
        if place is None:
            errors.append(FileError(label, "is not an image of the truth.", optional=True))
            continue
        if place in readers:
            errors.append(FileError(label, "is listed twice: keep one."))
        image = _png_file(annotation, path)
        unknown = {int(s["category_id"]) for s in annotation["segments_info"]} - set(truth.things)
        if unknown:
            errors.append(FileError(label, f"has class {min(unknown)}, which the truth lacks."))
        if image is None:
            errors.append(FileError(label, f"needs {annotation['file_name']}: add the image."))
            continue
        errors += _size_problem(image, truth.images[place])
        readers[place] = (CocoSegments(image, tuple(annotation["segments_info"])), (image,))
    return PanopticPredictions(readers, (path,), errors + _missing(readers, truth, path))


def _voc_truth(root: Path, subset: Path | None) -> PanopticTruth:
    names = read_list(subset or root / "ImageSets" / "Segmentation" / "val.txt")
    images, errors = [], []
    for place, name in enumerate(names, 1):
        files = tuple(root / f"Segmentation{kind}" / f"{name}.png" for kind in ("Object", "Class"))
        lacking = [file for file in files if not file.is_file()]
        if lacking:
            errors.append(FileError(name, f"needs {lacking[0]}.", optional=True))
            continue
        size = size_in_header(files[0])
        assert size is not None
        images.append(PanopticImage(place, name, size, VocSegments(*files), files))
    things = {number: number < VOC_BACKGROUND for number in range(1, VOC_BACKGROUND + 1)}
    labels = {**class_names("voc"), VOC_BACKGROUND: "background"}
    return PanopticTruth(images, things, labels, VOC_BACKGROUND, (), errors)


def _coco_truth(path: Path) -> PanopticTruth:
    content = read_json(path)
    images, errors = [], []
    try:
        things = {int(c["id"]): bool(c["isthing"]) for c in content["categories"]}
        names = {int(c["id"]): str(c.get("name", c["id"])) for c in content["categories"]}
        sizes = {i["id"]: (int(i["height"]), int(i["width"])) for i in content["images"]}
        for annotation in sorted(_annotations(content, path), key=lambda a: int(a["image_id"])):
            image = _png_file(annotation, path)
            number = int(annotation["image_id"])
            if image is None:
                errors.append(FileError(path.name, f"needs {annotation['file_name']}.", True))
                continue
            reader = CocoSegments(image, tuple(annotation["segments_info"]))
            size = sizes[annotation["image_id"]]
            images.append(PanopticImage(number, image.stem, size, reader, (image,)))
            errors += _size_problem(image, images[-1])
    except MALFORMED as error:
        raise InputError(
            f"{path} is not a complete panoptic JSON ({error!r}): export it again."
        ) from error
    return PanopticTruth(images, things, names, None, (path,), errors)


def _annotations(content: Any, path: Path) -> list[Any]:
    match content:
        case {"annotations": [*annotations]} if all(
            isinstance(one, dict) and {"image_id", "file_name", "segments_info"} <= set(one)
            for one in annotations
        ):
            return annotations
    raise InputError(f"{path} is not a panoptic JSON: its annotations need segments_info.")


def _png_file(annotation: Mapping[str, Any], path: Path) -> Path | None:
    """Return the image of ids in the folder of the JSON's name, or beside it."""
    places = [
        path_inside(folder, annotation["file_name"], path.name)
        for folder in (path.with_suffix(""), path.parent)
    ]
    return next((place for place in places if place.is_file()), None)


def _coded(folder: Path, truth: PanopticTruth, coding: Coding | None) -> PanopticPredictions:
    files = {
        f.stem.casefold(): f for f in instance_files(folder, (*LABEL_SUFFIXES, ".npy", ".npz"))
    }
    coding = coding or _guess(next(iter(files.values())))
    readers: dict[int, tuple[SegmentReader, tuple[Path, ...]]] = {}
    errors = []
    for place, image in enumerate(truth.images):
        file = files.pop(stem(image.name), None)
        if file is not None:
            categories = tuple(sorted(truth.things))
            readers[place] = (CodedSegments(file, coding, categories, truth.background), (file,))
            errors += _size_problem(file, image)
    for file in files.values():
        errors.append(FileError(file.name, "belongs to no image of the truth.", optional=True))
    return PanopticPredictions(readers, (), errors + _missing(readers, truth, folder))


def _guess(file: Path) -> Coding:
    """Return the coding that files of this kind have."""
    if file.suffix.lower() in (".npy", ".npz"):
        return "thousands"
    with Image.open(file) as image:
        if image.mode in ("P", "L"):
            return "semantic"
        return "channels" if image.mode.startswith("RGB") else "thousands"


def _size_problem(file: Path, image: PanopticImage) -> list[FileError]:
    size = size_in_header(file)
    if size is None or size == image.size:
        return []
    (a, b), (c, d) = size, image.size
    return [FileError(file.name, f"is {b} x {a}, its image {d} x {c}: save it at that size.")]


def _missing(readers: Mapping[int, Any], truth: PanopticTruth, path: Path) -> list[FileError]:
    return [
        FileError(image.name, f"has no prediction in {path}.", optional=True)
        for place, image in enumerate(truth.images)
        if place not in readers
    ]
