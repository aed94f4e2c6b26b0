"""VOC's layout of object and class images, which CVAT calls Segmentation mask 1.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segdemo.annotations.classes import class_names
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.label_images import read_instance_ids
from segdemo.annotations.label_map_file import LABEL_MAP, Colour, read_label_map
from segdemo.annotations.palette import colour
from segdemo.annotations.stored_ids import VOC_BORDER, opened
from segdemo.datatypes import InputError, Labels

OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"
_BORDER_CODE = VOC_BORDER[0] + 256 * VOC_BORDER[1] + 256**2 * VOC_BORDER[2]
_NOT_A_CLASS = ("background", "ignored")


def class_numbers(
    path: Path, name: str, colours: Mapping[int, Colour]
) -> npt.NDArray[np.int64] | None:
    """Read an image of these classes' colours as (H, W) numbers.

    Borders as in VOC are 0. Returns None where it has other colours; raises InputError.
    """
    with opened(path, name) as image:
        pixels = np.asarray(image.convert("RGB"), np.int64)
    codes = pixels @ np.array([1, 256, 256**2])
    numbers = np.full(codes.shape, -1, np.int64)
    numbers[codes == _BORDER_CODE] = 0
    for number, (red, green, blue) in colours.items():
        numbers[codes == red + 256 * green + 256**2 * blue] = number
    return None if (numbers < 0).any() else numbers


def is_voc(images: Iterable[Path], folder: Path) -> bool:
    """Whether a folder's images are laid out as VOC's."""
    return any({OBJECTS, CLASSES} & set(path.relative_to(folder).parts[:-1]) for path in images)


def read_voc(images: Iterable[Path], folder: Path, collector: MaskCollector) -> None:
    """Read the objects, each with the class that most of its pixels have in the class image.

    Colours are those of the nearest `labelmap.txt` up to `folder`, else VOC's. Images without an
    object image have one mask for each class. What cannot be used is left out and noted.
    """
    images = list(images)
    objects = {_parts(path, OBJECTS): path for path in images if OBJECTS in path.parts}
    classes = {_parts(path, CLASSES): path for path in images if CLASSES in path.parts}
    names: dict[Path, dict[str, Colour]] = {}
    for place in sorted({*objects, *classes}):
        base, stem = place
        path = objects.get(place) or classes[place]
        with collector.notes.guarding(path.name):
            key = collector.key(stem, path.name)
            if key is None:
                continue
            if base not in names:
                names[base] = _label_map(base, folder)
            class_map = _class_map(classes.get(place), list(names[base].values()), collector)
            ids = _objects(objects.get(place), collector)
            _add(key, path.name, ids, class_map, list(names[base]), collector)


def _parts(path: Path, kind: str) -> tuple[Path, str]:
    """Return the folder that holds the kind's folder, and the image's name below it."""
    place = next(parent for parent in path.parents if parent.name == kind)
    return place.parent, path.relative_to(place).with_suffix("").as_posix()


def _label_map(base: Path, folder: Path) -> dict[str, Colour]:
    for place in (base, *base.parents):
        if (place / LABEL_MAP).is_file():
            return read_label_map(place / LABEL_MAP)
        if place == folder:
            break
    voc = ["background", *class_names("voc").values()]
    return {label: _colour(number) for number, label in enumerate(voc)}


def _colour(number: int) -> Colour:
    red, green, blue = colour(number)
    return red, green, blue


def _class_map(
    path: Path | None, colours: list[Colour], collector: MaskCollector
) -> npt.NDArray[np.int64] | None:
    """Return each pixel's class, the first 1; 0 where it has none."""
    if path is None:
        return None
    found = class_numbers(path, path.name, dict(enumerate(colours, 1)))
    if found is None:
        raise InputError(f"{path.name} has colours that {LABEL_MAP} does not list: add them.")
    return found


def _objects(path: Path | None, collector: MaskCollector) -> Labels | None:
    if path is None:
        return None
    ids = read_instance_ids(path, path.name, collector)[0]
    return np.where(ids == _BORDER_CODE, 0, ids)


def _add(
    key: str,
    file: str,
    ids: Labels | None,
    class_map: npt.NDArray[np.int64] | None,
    labels: list[str],
    collector: MaskCollector,
) -> None:
    if ids is None:
        assert class_map is not None
        background = [i for i, label in enumerate(labels, 1) if label in _NOT_A_CLASS]
        ids = np.where(np.isin(class_map, background), 0, class_map)
        collector.notes.change(file, "", "it has classes alone, each became one mask")
    if class_map is not None and class_map.shape != ids.shape:
        raise InputError(f"{file}: its object and class images differ in size: export them again.")
    numbers = np.unique(ids)
    numbers = numbers[numbers > 0]
    collector.make_room(key, (ids.shape[0], ids.shape[1]), len(numbers), file)
    masks = InstanceRuns.from_label_map(ids)
    if class_map is None:
        collector.notes.change(file, "", f"it has no image in {CLASSES}: its classes are unknown")
        collector.add(key, masks, file)
        return
    names: dict[int, str] = {}
    categories: list[int] = []
    by_column = class_map.ravel(order="F")
    for i in range(len(masks)):
        counts = np.bincount(by_column[masks.pixels(i)], minlength=len(labels) + 1)
        label = labels[int(counts[1:].argmax())] if counts[1:].any() else "object"
        category = collector.category(label)
        names[category] = label
        categories.append(category)
    own = replace(masks, category_ids=np.array(categories, np.int64), names=names)
    collector.add(key, own, file)
