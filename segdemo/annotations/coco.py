"""COCO's JSON of instances: data sets, lists of results, SA-1B's and MaskCut's variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from segdemo.annotations import rle
from segdemo.annotations.categories import Categories
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import fill, trace
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.files import write_json

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def read_coco(content: Any, collector: MaskCollector, file: str) -> None:
    """Read a parsed JSON of images, annotations and categories; polygons, runs and crowds.

    Scores are 1 where the file has none. Sizes are those of the list of images; where all runs
    of an image have its width and height swapped, as MaskCut writes them, the runs are believed.
    Raises InputError.
    """
    try:
        images = [content["image"]] if "image" in content else content["images"]
        sizes = {_image_id(i): (int(i["height"]), int(i["width"])) for i in images}
        file_names = {_image_id(i): str(i["file_name"]) for i in images}
        names = {int(c["id"]): str(c["name"]) for c in content.get("categories", [])}
        given: dict[Any, list[Any]] = {image_id: [] for image_id in sizes}
        for annotation in content["annotations"]:
            owner = annotation.get("image_id", next(iter(sizes)) if "image" in content else None)
            if owner not in given:
                raise InputError(f"{file} has an annotation for image {owner}, which it lacks.")
            given[owner].append(annotation)
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(
            f"{file} is not a complete COCO JSON ({type(error).__name__}: {error}): export it "
            "again."
        ) from error
    swapped = {image_id for image_id, owned in given.items() if _is_swapped(sizes[image_id], owned)}
    for image_id, owned in given.items():
        key = collector.key(file_names[image_id], file)
        if key is not None:
            # an image without masks shows nothing itself, but the file swaps all or none
            swap = image_id in swapped or (bool(swapped) and not owned)
            size = sizes[image_id][::-1] if swap else sizes[image_id]
            _read_image(key, size, owned, names, collector, file)


def read_results(content: list[Any], collector: MaskCollector, file: str) -> None:
    """Read a list of results with runs; images are known by the number their name ends in."""
    given: dict[int, list[Any]] = {}
    try:
        for result in content:
            given.setdefault(int(result["image_id"]), []).append(result)
        sizes = {number: rle.runs_size(some[0]["segmentation"]) for number, some in given.items()}
    except (InputError, *MALFORMED) as error:
        raise InputError(
            f"{file} is not a list of COCO results with RLE: add image ids and sizes, or give a "
            "JSON with its images."
        ) from error
    for number, results in given.items():
        key = collector.key_by_number(number, file)
        if key is not None:
            _read_image(key, sizes[number], results, {}, collector, file)


def write_coco(
    masks_by_name: Mapping[str, InstanceMasks], path: Path, omissions: Omissions
) -> None:
    """Write one JSON with compressed runs, which keep masks to the pixel, overlaps too."""
    _write(masks_by_name, path, omissions, polygons=False)


def write_coco_polygons(
    masks_by_name: Mapping[str, InstanceMasks], path: Path, omissions: Omissions
) -> None:
    """Write one JSON with polygons along the pixels' borders; crowds as plain runs, as COCO's.

    Holes are cut open, so that pycocotools fills the polygons to the very masks. Programs that
    draw a polygon's line as well make its pixels part of the mask, the cuts' too.
    """
    _write(masks_by_name, path, omissions, polygons=True)


def _image_id(image: Mapping[str, Any]) -> Any:
    return image["id"] if "id" in image else image["image_id"]


def _is_swapped(stated: tuple[int, int], annotations: list[Any]) -> bool:
    """Whether all masks of an image are runs of (width, height) in place of the stated size."""
    if not annotations or stated[0] == stated[1]:
        return False
    for annotation in annotations:
        match annotation:
            case {"segmentation": {"size": [width, height]}} if (height, width) == stated:
                continue
        return False
    return True


def _read_image(
    key: str,
    size: tuple[int, int],
    annotations: list[Any],
    names: dict[int, str],
    collector: MaskCollector,
    file: str,
) -> None:
    collector.make_room(key, size, len(annotations), file)
    count = len(annotations)
    masks = np.zeros((count, *size), np.bool_)
    scores, crowd = np.ones(count, np.float32), np.zeros(count, np.bool_)
    categories = np.zeros(count, np.int64)
    for i, annotation in enumerate(annotations):
        try:
            masks[i] = _mask(annotation["segmentation"], size)
            scores[i] = annotation.get("score", 1)
            crowd[i] = bool(annotation.get("iscrowd", 0))
            categories[i] = annotation.get("category_id", 1)
        except InputError as error:
            raise InputError(f"{file}: mask {i + 1} of {key} cannot be used: {error}.") from error
        except MALFORMED as error:
            raise InputError(
                f"{file}: mask {i + 1} of {key} is incomplete ({type(error).__name__}: {error}): "
                "export it again."
            ) from error
    if names and (unknown := set(categories.tolist()) - set(names)):
        raise InputError(
            f"{file}: {key} has category {min(unknown)}, which the file does not list."
        )
    try:
        found = InstanceMasks(masks, scores, categories, names, crowd if crowd.any() else None)
    except InputError as error:
        raise InputError(f"{file}: {key} cannot be used: {error}") from error
    collector.add(key, found, file)


def _mask(segmentation: Any, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    if isinstance(segmentation, list):
        return fill(segmentation, size)
    height, width = rle.runs_size(segmentation)
    if (height, width) != size:
        raise InputError(f"its RLE is {width} x {height}, the image {size[1]} x {size[0]}")
    return rle.decode(segmentation)


def _write(
    masks_by_name: Mapping[str, InstanceMasks], path: Path, omissions: Omissions, *, polygons: bool
) -> None:
    images: list[Any] = []
    annotations: list[Any] = []
    categories = Categories.of(masks_by_name)
    for image_id, (name, found) in enumerate(masks_by_name.items(), 1):
        height, width = found.size
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for i, mask in enumerate(found.masks):
            runs = rle.encode(mask)
            segmentation: Any = runs
            if polygons and is_crowd(found, i):
                segmentation = {"size": runs["size"], "counts": rle.plain_counts(mask)}
            elif polygons:
                outlines = trace(mask)
                segmentation = [np.ravel(polygon).tolist() for polygon in outlines.polygons]
                if not segmentation:
                    omissions.add("{} without pixels cannot be polygons and were left out.", 1)
                    continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": categories.number(found, i),
                    "segmentation": segmentation,
                    "area": int(mask_api.area(runs)),
                    "bbox": mask_api.toBbox(runs).tolist(),
                    "iscrowd": int(is_crowd(found, i)),
                    "score": float(found.scores[i]),
                }
            )
    content = {"images": images, "annotations": annotations, "categories": categories.as_coco()}
    write_json(content, path)


def is_crowd(found: InstanceMasks, i: int) -> bool:
    """Return whether an instance is a crowd."""
    return found.crowd is not None and bool(found.crowd[i])
