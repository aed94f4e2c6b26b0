"""COCO's panoptic format: a JSON of segments, and an image of ids in colours beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segdemo.annotations.categories import Categories
from segdemo.annotations.coco import as_id
from segdemo.annotations.coco_writer import INFO, LICENSES, image_record, is_crowd
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path, path_inside
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.palette import colour
from segdemo.annotations.stored_ids import read_label_image
from segdemo.datatypes import Front, InputError
from segdemo.files import write_json, write_png

_CODE = np.array([1, 256, 256**2])


def read_panoptic(content: Any, path: Path, collector: MaskCollector, file: str) -> None:
    """Read a parsed panoptic JSON and the images in the folder of its name, or beside it.

    All segments come in, those of stuff as well. A segment without pixels is skipped; what cannot
    be used, also pixels of an id that the JSON does not list, is left out and noted.
    """
    file_names: dict[Any, str] = {}
    names: dict[int, str] = {}
    for i, image in enumerate(content.get("images") or (), 1):
        with collector.notes.guarding(file, f"image {i} of the list"):
            file_names[as_id(image["id"])] = str(image["file_name"])
    for i, category in enumerate(content.get("categories") or (), 1):
        with collector.notes.guarding(file, f"category {i} of the list"):
            names[int(category["id"])] = str(category["name"])
            if category.get("isthing", 1) == 0:
                collector.stuff.add(str(category["name"]))
    for i, annotation in enumerate(content["annotations"], 1):
        with collector.notes.guarding(file, f"annotation {i} of the list"):
            image = str(annotation["file_name"])
            key = collector.key(file_names.get(as_id(annotation.get("image_id", 0)), image), file)
            if key is not None:
                _read_segments(annotation, image, key, path, names, collector, file)


def write_panoptic(
    masks_by_name: Mapping[str, InstanceRuns],
    path: Path,
    omissions: Omissions,
    front: Front,
    stuff: Collection[str],
) -> None:
    """Write the JSON, and the images into the folder of its name.

    stuff: names of classes without instances; the masks of each make one segment an image.
    """
    folder = path.with_suffix("")
    images, annotations = [], []
    categories = Categories.of(masks_by_name)
    without_instances = {number for number, name in categories.names.items() if name in stuff}
    for image_id, (name, found) in enumerate(masks_by_name.items(), 1):
        flat = found.to_label_map(front)
        omissions.add_flattening(flat)
        omissions.add_scores(found)
        image = output_path(folder, name, ".png")
        labels = _merge_stuff(flat.labels, found, without_instances)
        write_png((labels[..., None] // _CODE % 256).astype(np.uint8), image)
        images.append(image_record(image_id, name, found.size))
        annotations.append(
            {
                "image_id": image_id,
                "file_name": image.relative_to(folder).as_posix(),
                "segments_info": [
                    _segment(found, label - 1, labels == label, categories)
                    for label in np.unique(labels).tolist()
                    if label
                ],
            }
        )
    content = {
        "info": INFO,
        "licenses": LICENSES,
        "images": images,
        "annotations": annotations,
        "categories": [
            {
                **category,
                "isthing": int(category["id"] not in without_instances),
                "color": colour(i),
            }
            for i, category in enumerate(categories.as_coco(), 1)
        ],
    }
    write_json(content, path)


def _merge_stuff(
    labels: npt.NDArray[np.int32], found: InstanceRuns, stuff: Collection[int]
) -> npt.NDArray[np.int32]:
    """Give all masks of a class without instances the label of its first, in (H, W) labels."""
    if found.category_ids is None:
        return labels
    numbers = np.arange(len(found) + 1, dtype=np.int32)
    for category in stuff:
        own = np.flatnonzero(found.category_ids == category)
        numbers[own + 1] = own[:1] + 1
    return numbers[labels]


def _segment(
    found: InstanceRuns, i: int, mask: npt.NDArray[np.bool_], categories: Categories
) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": i + 1,
        "category_id": categories.number(found, i),
        "area": int(np.count_nonzero(mask)),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "iscrowd": int(is_crowd(found, i)),
    }


def _read_segments(
    annotation: Any,
    image: str,
    key: str,
    path: Path,
    names: dict[int, str],
    collector: MaskCollector,
    file: str,
) -> None:
    places = [path_inside(folder, image, file) for folder in (path.with_suffix(""), path.parent)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(f"{file} needs {image}: put it into the folder {path.stem} beside it.")
    ids = read_label_image(found, image)
    segments = {int(segment["id"]): segment for segment in annotation["segments_info"]}
    present = []
    for number in np.unique(ids).tolist():
        if number in segments:
            with collector.notes.guarding(file, f"segment {number} of {key}"):
                category = int(segments[number]["category_id"])
                if category < 0:
                    raise InputError(f"category {category} is not a number from 0")
                if names and category not in names:
                    collector.notes.change(
                        file,
                        f"segment {number} of {key}",
                        f"the file lists no category {category}, it has no name",
                    )
                present.append(number)
        elif number:
            collector.notes.leave_out(
                file, f"segment {number} of {key}", f"{image} holds it, the list does not"
            )
    ids = np.where(np.isin(ids, present), ids, 0)
    categories = [int(segments[number]["category_id"]) for number in present]
    collector.make_room(key, (ids.shape[0], ids.shape[1]), len(present), file)
    masks = InstanceRuns.from_label_map(ids)
    crowd = np.array([bool(segments[n].get("iscrowd", 0)) for n in present], np.bool_)
    kept = replace(
        masks,
        category_ids=np.array(categories, np.int64),
        names=names,
        crowd=crowd if crowd.any() else None,
    )
    collector.add(key, kept, file)
