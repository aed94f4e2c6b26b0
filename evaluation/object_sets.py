"""The pictures of a data set with their true objects, and predictions matched to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evaluation.annotation_checks import check_results, check_truth
from evaluation.federated import Federation, federation_of
from evaluation.object_files import object_files, picture_size, read_json, stem
from evaluation.object_sources import (
    Annotations,
    KittiLabels,
    LabelMapFile,
    MapKind,
    MaskFile,
    Nothing,
    ObjectSource,
    PictureJson,
    Results,
)
from evaluation.problems import Problem
from segdemo.annotations.file_names import without_suffix
from segdemo.datatypes import InputError

PredictionArea = Literal["box", "mask"]


@dataclass(frozen=True)
class TruePicture:
    """One picture. number: COCO's image id, or its place. size: (height, width) where known.

    federation: what LVIS says of its classes, None in other data sets.
    """

    number: int
    name: str
    size: tuple[int, int] | None
    source: ObjectSource
    files: tuple[Path, ...] = ()
    federation: Federation | None = None


@dataclass(frozen=True)
class TruthSet:
    """pictures: in the order in which they count. has_masks: boxes only if not.

    files: what was read for all pictures together. problems: of the validation pass. frequencies:
    LVIS' letters by class.
    """

    pictures: Sequence[TruePicture]
    has_masks: bool
    files: tuple[Path, ...]
    problems: list[Problem] = field(default_factory=list)
    frequencies: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionSet:
    """sources: in the order of the pictures, each with the files it reads.

    constant: all scores are equal, so that the order decides. has_masks: boxes only if not.
    classes: the different ones that predictions have.
    """

    sources: Sequence[tuple[ObjectSource, tuple[Path, ...]]]
    constant: bool
    has_masks: bool
    files: tuple[Path, ...]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: frozenset[int] = frozenset()


def read_truth(path: Path, names: Sequence[str] | None = None, maps: MapKind = "ids") -> TruthSet:
    """Read the truth from COCO's JSON or a folder with a file a picture.

    names: the images wanted, in their order, without endings. maps: see `LabelMapFile`. A folder's
    files are label maps, NPZ, NPY, LabelMe's or SA-1B's JSON, or KITTI's text; its `instances`
    folder counts if it has one. Raises InputError.
    """
    if path.is_dir():
        found = _truth_of_folder(path, maps)
    else:
        found = _truth_of_json(path)
    return found if names is None else _chosen(found, names, path)


def read_predictions(path: Path, truth: TruthSet, areas: PredictionArea = "box") -> PredictionSet:
    """Match predictions to the pictures of a data set.

    path: COCO's list of results, a JSON with `annotations` (MaskCut's too), or a folder with a file
    a picture. areas: what decides the size of predictions, see `Results`. Raises InputError.
    """
    if path.is_dir():
        return _predictions_of_folder(path, truth, areas)
    return _predictions_of_json(path, truth, areas)


def _truth_of_json(path: Path) -> TruthSet:
    content = read_json(path)
    problems = check_truth(content, path.name)
    images = {int(image["id"]): image for image in content["images"]}
    owned: dict[int, list[Any]] = {number: [] for number in images}
    for annotation in content["annotations"]:
        if annotation["image_id"] in owned:
            owned[annotation["image_id"]].append(annotation)
    pictures = []
    for number, image in sorted(images.items()):
        size = (int(image["height"]), int(image["width"]))
        source = Annotations(owned[number], size)
        known = federation_of(image)
        pictures.append(TruePicture(number, _name(image), size, source, federation=known))
    has_masks = any(annotation.get("segmentation") for annotation in content["annotations"])
    frequencies = {
        int(one["id"]): str(one["frequency"])
        for one in content.get("categories", ())
        if "frequency" in one
    }
    return TruthSet(pictures, has_masks, (path,), problems, frequencies)


def _name(image: Mapping[str, Any]) -> str:
    """Return a picture's file name; LVIS has only its address."""
    return str(image.get("file_name") or image.get("coco_url") or image["id"]).rpartition("/")[2]


def _truth_of_folder(folder: Path, maps: MapKind) -> TruthSet:
    inner = folder / "instances"
    shards = sorted(path for path in folder.glob("sa_[0-9]*") if path.is_dir())  # SA-1B's
    places = shards or [inner if inner.is_dir() else folder]
    files = [file for place in places for file in object_files(place)]
    pictures = []
    for place, file in enumerate(files, 1):
        source: ObjectSource
        match file.suffix.lower():
            case ".txt":
                source = KittiLabels(file)
            case ".json" if _is_picture_json(file):
                source = PictureJson(file)
            case ".json" | ".npz" | ".npy":
                source = MaskFile(file)
            case _:
                source = LabelMapFile(file, maps)
        pictures.append(TruePicture(place, file.stem, picture_size(file), source, (file,)))
    return TruthSet(pictures, not isinstance(pictures[0].source, KittiLabels), ())


def _is_picture_json(file: Path) -> bool:
    with file.open("rb") as stream:
        return b'"shapes"' not in stream.read(4096) and file.stem.startswith("sa_")


def _chosen(truth: TruthSet, names: Sequence[str], path: Path) -> TruthSet:
    """Keep the pictures wanted, by name or image id, in the order wanted."""
    by_name: dict[str, TruePicture] = {str(p.number): p for p in truth.pictures}
    by_name |= {stem(p.name): p for p in truth.pictures}
    problems = list(truth.problems)
    kept = []
    for name in names:
        if (picture := by_name.get(stem(name))) is not None:
            kept.append(picture)
        else:
            problems.append(Problem(name, f"is wanted, but {path} lacks it.", may_lack=True))
    if not kept:
        raise InputError(f"{path} holds none of the {len(names)} pictures wanted: check the list.")
    return replace(truth, pictures=kept, problems=problems)


def _predictions_of_json(path: Path, truth: TruthSet, areas: PredictionArea) -> PredictionSet:
    content = read_json(path)
    numbers = {picture.number: picture for picture in truth.pictures}
    renamed: Mapping[Any, int] = {}
    notes = []
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        renamed = _numbers_by_name(content.get("images", []), truth.pictures)
        content = content["annotations"]
    elif isinstance(content, list) and not truth.files:
        renamed = _numbers_in_names(content, truth.pictures)
    if not isinstance(content, list):
        raise InputError(f"{path} holds no list of predictions: give COCO's results.")
    sizes = {number: picture.size for number, picture in numbers.items()}
    owned, problems = check_results(content, sizes, renamed, path.name)
    if not any("score" in one for some in owned.values() for one in some):
        notes.append("predictions without scores: each was given 1")
    empty = sum(not owned.get(number) for number in numbers)
    if empty:
        notes.append(f"pictures without any prediction: {empty}, all their objects count as missed")
    sources = [
        (
            Results(owned.get(p.number, []), p.size or (1, 1), areas == "box"),
            (),
        )
        for p in truth.pictures
    ]
    scores = {one.get("score", 1) for some in owned.values() for one in some}
    has_masks = all(one.get("segmentation") for some in owned.values() for one in some)
    classes = {
        int(one["category_id"])
        for some in owned.values()
        for one in some
        if isinstance(one.get("category_id"), int | float) and one["category_id"] % 1 == 0
    }
    return PredictionSet(
        sources, len(scores) < 2, has_masks, (path,), problems, notes, frozenset(classes)
    )


def _numbers_by_name(images: Iterable[Any], pictures: Sequence[TruePicture]) -> dict[Any, int]:
    """Return the id of the truth for each of the predictions' own, by the pictures' names."""
    known = {stem(picture.name): picture.number for picture in pictures}
    return {
        image["id"]: known[stem(_name(image))] for image in images if stem(_name(image)) in known
    }


def _numbers_in_names(results: Iterable[Any], pictures: Sequence[TruePicture]) -> dict[Any, int]:
    """Return places by the numbers the pictures' names end in, if all predictions use these."""
    ends = {p.number: re.search(r"(\d+)$", without_suffix(p.name)) for p in pictures}
    known = {int(found[1]): place for place, found in ends.items() if found}
    ids = [one.get("image_id") for one in results if isinstance(one, dict)]
    used = {number for number in ids if isinstance(number, int)}
    return known if used <= set(known) else {}


def _predictions_of_folder(folder: Path, truth: TruthSet, areas: PredictionArea) -> PredictionSet:
    inner = folder / "instances"
    files = {
        file.stem.casefold(): file for file in object_files(inner if inner.is_dir() else folder)
    }
    sources: list[tuple[ObjectSource, tuple[Path, ...]]] = []
    problems = []
    for picture in truth.pictures:
        file = files.pop(stem(picture.name), None)
        if file is None:
            sentence = f"has no predictions in {folder}; allowed, all its objects count as missed."
            problems.append(Problem(picture.name, sentence, may_lack=True))
            sources.append((Nothing(), ()))
            continue
        size = picture_size(file)
        if size and picture.size and size != picture.size:
            problems.append(Problem(file.name, _other_size(size, picture.size)))
        box = areas == "box"
        source = LabelMapFile(file, box_areas=box) if size else MaskFile(file, box_areas=box)
        sources.append((source, (file,)))
    for file in files.values():
        problems.append(Problem(file.name, "belongs to no picture of the truth.", may_lack=True))
    constant = all(isinstance(source, LabelMapFile | Nothing) for source, _ in sources)
    return PredictionSet(sources, constant, True, (), problems)


def _other_size(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    return (
        f"is {size[1]} x {size[0]}, the truth {wanted[1]} x {wanted[0]}: save predictions at the "
        "picture's size."
    )
