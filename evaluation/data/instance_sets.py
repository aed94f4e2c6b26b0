"""The images of a data set with their true objects, and predictions matched to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evaluation.data.coco_checks import check_results, check_truth
from evaluation.data.files import instance_files, read_json, size_in_header, stem
from evaluation.data.instance_readers import (
    CocoAnnotations,
    CocoPredictions,
    IdCoding,
    InstanceReader,
    KittiFile,
    LabelMapFile,
    MaskFile,
    NoInstances,
    Sa1bFile,
)
from evaluation.data.validation import FileError
from evaluation.metrics.federated import Federation, federation_of
from segdemo.annotations.file_names import without_suffix
from segdemo.datatypes import InputError

PredictionArea = Literal["box", "mask"]


@dataclass(frozen=True)
class AnnotatedImage:
    """One image. number: COCO's image id, or its place. size: (height, width) where known.

    federation: what LVIS says of its classes, None in other data sets.
    """

    number: int
    name: str
    size: tuple[int, int] | None
    reader: InstanceReader
    files: tuple[Path, ...] = ()
    federation: Federation | None = None


@dataclass(frozen=True)
class InstanceTruth:
    """images: in the order in which they count. has_masks: boxes only if not.

    files: what was read for all images together. errors: of the validation pass. frequencies:
    LVIS' letters by class.
    """

    images: Sequence[AnnotatedImage]
    has_masks: bool
    files: tuple[Path, ...]
    errors: list[FileError] = field(default_factory=list)
    frequencies: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InstancePredictions:
    """readers: in the order of the images, each with the files it reads.

    constant: all scores are equal, so that the order decides. has_masks: boxes only if not.
    classes: the different ones that predictions have.
    """

    readers: Sequence[tuple[InstanceReader, tuple[Path, ...]]]
    constant: bool
    has_masks: bool
    files: tuple[Path, ...]
    errors: list[FileError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: frozenset[int] = frozenset()


def read_truth(
    path: Path, names: Sequence[str] | None = None, maps: IdCoding = "ids"
) -> InstanceTruth:
    """Read the truth from COCO's JSON or a folder with a file an image.

    names: the images wanted, in their order, without endings. maps: see `LabelMapFile`. A folder's
    files are label maps, NPZ, NPY, LabelMe's or SA-1B's JSON, or KITTI's text; its `instances`
    folder counts if it has one. Raises InputError.
    """
    if path.is_dir():
        found = _truth_of_folder(path, maps)
    else:
        found = _truth_of_json(path)
    return found if names is None else _chosen(found, names, path)


def read_predictions(
    path: Path, truth: InstanceTruth, areas: PredictionArea = "box"
) -> InstancePredictions:
    """Match predictions to the images of a data set.

    path: COCO's list of results, a JSON with `annotations` (MaskCut's too), or a folder with a file
    an image. areas: what decides the size of predictions, see `CocoPredictions`. Raises InputError.
    """
    if path.is_dir():
        return _predictions_of_folder(path, truth, areas)
    return _predictions_of_json(path, truth, areas)


def _truth_of_json(path: Path) -> InstanceTruth:
    content = read_json(path)
    errors = check_truth(content, path.name)
    entries = {int(entry["id"]): entry for entry in content["images"]}
    owned: dict[int, list[Any]] = {number: [] for number in entries}
    for annotation in content["annotations"]:
        if annotation["image_id"] in owned:
            owned[annotation["image_id"]].append(annotation)
    images = []
    for number, entry in sorted(entries.items()):
        size = (int(entry["height"]), int(entry["width"]))
        reader = CocoAnnotations(owned[number], size)
        known = federation_of(entry)
        images.append(AnnotatedImage(number, _name(entry), size, reader, federation=known))
    has_masks = any(annotation.get("segmentation") for annotation in content["annotations"])
    frequencies = {
        int(one["id"]): str(one["frequency"])
        for one in content.get("categories", ())
        if "frequency" in one
    }
    return InstanceTruth(images, has_masks, (path,), errors, frequencies)


def _name(entry: Mapping[str, Any]) -> str:
    """Return an image's file name; LVIS has only its address."""
    return str(entry.get("file_name") or entry.get("coco_url") or entry["id"]).rpartition("/")[2]


def _truth_of_folder(folder: Path, maps: IdCoding) -> InstanceTruth:
    inner = folder / "instances"
    shards = sorted(path for path in folder.glob("sa_[0-9]*") if path.is_dir())  # SA-1B's
    places = shards or [inner if inner.is_dir() else folder]
    files = [file for place in places for file in instance_files(place)]
    images = []
    for place, file in enumerate(files, 1):
        reader: InstanceReader
        match file.suffix.lower():
            case ".txt":
                reader = KittiFile(file)
            case ".json" if _is_sa1b_json(file):
                reader = Sa1bFile(file)
            case ".json" | ".npz" | ".npy":
                reader = MaskFile(file)
            case _:
                reader = LabelMapFile(file, maps)
        images.append(AnnotatedImage(place, file.stem, size_in_header(file), reader, (file,)))
    return InstanceTruth(images, not isinstance(images[0].reader, KittiFile), ())


def _is_sa1b_json(file: Path) -> bool:
    with file.open("rb") as stream:
        return b'"shapes"' not in stream.read(4096) and file.stem.startswith("sa_")


def _chosen(truth: InstanceTruth, names: Sequence[str], path: Path) -> InstanceTruth:
    """Keep the images wanted, by name or image id, in the order wanted."""
    by_name: dict[str, AnnotatedImage] = {str(p.number): p for p in truth.images}
    by_name |= {stem(p.name): p for p in truth.images}
    errors = list(truth.errors)
    kept = []
    for name in names:
        if (image := by_name.get(stem(name))) is not None:
            kept.append(image)
        else:
            errors.append(FileError(name, f"is wanted, but {path} lacks it.", optional=True))
    if not kept:
        raise InputError(f"{path} holds none of the {len(names)} images wanted: check the list.")
    return replace(truth, images=kept, errors=errors)


def _predictions_of_json(
    path: Path, truth: InstanceTruth, areas: PredictionArea
) -> InstancePredictions:
    content = read_json(path)
    numbers = {image.number: image for image in truth.images}
    renamed: Mapping[Any, int] = {}
    notes = []
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        renamed = _numbers_by_name(content.get("images", []), truth.images)
        content = content["annotations"]
    elif isinstance(content, list) and not truth.files:
        renamed = _numbers_in_names(content, truth.images)
    if not isinstance(content, list):
        raise InputError(f"{path} holds no list of predictions: give COCO's results.")
    sizes = {number: image.size for number, image in numbers.items()}
    owned, errors = check_results(content, sizes, renamed, path.name)
    if not any("score" in one for some in owned.values() for one in some):
        notes.append("predictions without scores: each was given 1")
    empty = sum(not owned.get(number) for number in numbers)
    if empty:
        notes.append(f"images without any prediction: {empty}, all their objects count as missed")
    readers = [
        (
            CocoPredictions(owned.get(p.number, []), p.size or (1, 1), areas == "box"),
            (),
        )
        for p in truth.images
    ]
    scores = {one.get("score", 1) for some in owned.values() for one in some}
    has_masks = all(one.get("segmentation") for some in owned.values() for one in some)
    classes = {
        int(one["category_id"])
        for some in owned.values()
        for one in some
        if isinstance(one.get("category_id"), int | float) and one["category_id"] % 1 == 0
    }
    return InstancePredictions(
        readers, len(scores) < 2, has_masks, (path,), errors, notes, frozenset(classes)
    )


def _numbers_by_name(entries: Iterable[Any], images: Sequence[AnnotatedImage]) -> dict[Any, int]:
    """Return the id of the truth for each of the predictions' own, by the images' names."""
    known = {stem(image.name): image.number for image in images}
    return {
        entry["id"]: known[stem(_name(entry))] for entry in entries if stem(_name(entry)) in known
    }


def _numbers_in_names(results: Iterable[Any], images: Sequence[AnnotatedImage]) -> dict[Any, int]:
    """Return places by the numbers the images' names end in, if all predictions use these."""
    ends = {p.number: re.search(r"(\d+)$", without_suffix(p.name)) for p in images}
    known = {int(found[1]): place for place, found in ends.items() if found}
    ids = [one.get("image_id") for one in results if isinstance(one, dict)]
    used = {number for number in ids if isinstance(number, int)}
    return known if used <= set(known) else {}


def _predictions_of_folder(
    folder: Path, truth: InstanceTruth, areas: PredictionArea
) -> InstancePredictions:
    inner = folder / "instances"
    files = {
        file.stem.casefold(): file for file in instance_files(inner if inner.is_dir() else folder)
    }
    readers: list[tuple[InstanceReader, tuple[Path, ...]]] = []
    errors = []
    for image in truth.images:
        file = files.pop(stem(image.name), None)
        if file is None:
            message = f"has no predictions in {folder}; allowed, all its objects count as missed."
            errors.append(FileError(image.name, message, optional=True))
            readers.append((NoInstances(), ()))
            continue
        size = size_in_header(file)
        if size and image.size and size != image.size:
            errors.append(FileError(file.name, _other_size(size, image.size)))
        box = areas == "box"
        reader = LabelMapFile(file, box_areas=box) if size else MaskFile(file, box_areas=box)
        readers.append((reader, (file,)))
    for file in files.values():
        errors.append(FileError(file.name, "belongs to no image of the truth.", optional=True))
    constant = all(isinstance(reader, LabelMapFile | NoInstances) for reader, _ in readers)
    return InstancePredictions(readers, constant, True, (), errors)


def _other_size(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    return (
        f"is {size[1]} x {size[0]}, the truth {wanted[1]} x {wanted[0]}: save predictions at the "
        "image's size."
    )
