"""COCO's panoptic format: a JSON of segments, and an image of ids in colours beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segdemo.annotations.categories import Categories
from segdemo.annotations.coco import MALFORMED, is_crowd
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path, path_inside
from segdemo.annotations.label_images import read_label_image
from segdemo.annotations.omissions import Omissions
from segdemo.datatypes import Front, InputError, InstanceMasks
from segdemo.files import write_json, write_png

_CODE = np.array([1, 256, 256**2])


def read_panoptic(content: Any, path: Path, collector: MaskCollector, file: str) -> None:
    """Read a parsed panoptic JSON and the images in the folder of its name, or beside it.

    All segments come in, those of stuff as well. A segment without pixels is skipped; pixels
    of an id that the JSON does not list are an error. Raises InputError.
    """
    try:
        file_names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        for annotation in content["annotations"]:
            image = str(annotation["file_name"])
            key = collector.key(file_names.get(annotation["image_id"], image), file)
            if key is not None:
                _read_segments(annotation, image, key, path, names, collector, file)
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(
            f"{file} is not a complete panoptic JSON ({type(error).__name__}: {error}): export it "
            "again."
        ) from error


def write_panoptic(
    masks_by_name: Mapping[str, InstanceMasks], path: Path, omissions: Omissions, front: Front
) -> None:
    """Write the JSON, and the images into the folder of its name."""
    folder = path.with_suffix("")
    images, annotations = [], []
    categories = Categories.of(masks_by_name)
    for image_id, (name, found) in enumerate(masks_by_name.items(), 1):
        height, width = found.size
        flat = found.to_label_map(front)
        omissions.add_flattening(flat)
        omissions.add_scores(found)
        image = output_path(folder, name, ".png")
        write_png((flat.labels[..., None] // _CODE % 256).astype(np.uint8), image)
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        annotations.append(
            {
                "image_id": image_id,
                "file_name": image.relative_to(folder).as_posix(),
                "segments_info": [
                    _segment(found, i, flat.labels == i + 1, categories)
                    for i in range(len(found))
                    if i not in flat.hidden
                ],
            }
        )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{**category, "isthing": 1} for category in categories.as_coco()],
    }
    write_json(content, path)


def _segment(
    found: InstanceMasks, i: int, mask: npt.NDArray[np.bool_], categories: Categories
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
    present = [number for number in np.unique(ids).tolist() if number]
    unlisted = [number for number in present if number not in segments]
    if unlisted:
        raise InputError(f"{image} holds segment {unlisted[0]}, which {file} does not list.")
    categories = [int(segments[number]["category_id"]) for number in present]
    if unknown := set(categories) - set(names):
        raise InputError(
            f"{file}: {key} has category {min(unknown)}, which the file does not list."
        )
    collector.make_room(key, (ids.shape[0], ids.shape[1]), len(present), file)
    masks = InstanceMasks.from_label_map(ids).masks
    crowd = np.array([bool(segments[n].get("iscrowd", 0)) for n in present], np.bool_)
    kept = InstanceMasks.unscored(
        masks, np.array(categories, np.int64), names, crowd if crowd.any() else None
    )
    collector.add(key, kept, file)
