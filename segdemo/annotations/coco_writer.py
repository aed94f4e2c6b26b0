"""COCO's JSON of instances, as run lengths or as polygons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from segdemo.annotations import rle
from segdemo.annotations.categories import Categories
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import trace
from segdemo.files import atomic_write

INFO = {
    "description": "Instance masks written by segdemo",
    "url": "",
    "version": "1.0",
    "year": 0,
    "contributor": "",
    "date_created": "",
}
LICENSES = [{"id": 0, "name": "unknown", "url": ""}]
"""The licence of the images is not known here; many readers refuse a file without the lists."""


def write_coco(masks_by_name: Mapping[str, InstanceRuns], path: Path, omissions: Omissions) -> None:
    """Write one JSON with compressed runs, which keep masks to the pixel, overlaps too."""
    _write(masks_by_name, path, omissions, polygons=False)


def write_coco_polygons(
    masks_by_name: Mapping[str, InstanceRuns], path: Path, omissions: Omissions
) -> None:
    """Write one JSON with polygons along the pixels' borders; crowds as plain runs, as COCO's.

    Holes are cut open, so that pycocotools fills the polygons to the very masks. Programs that
    draw a polygon's line as well make its pixels part of the mask, the cuts' too.
    """
    _write(masks_by_name, path, omissions, polygons=True)


def _write(
    masks_by_name: Mapping[str, InstanceRuns], path: Path, omissions: Omissions, *, polygons: bool
) -> None:
    """Write annotations as they are made: all polygons of a large set would exceed memory."""
    images: list[Any] = []
    categories = Categories.of(masks_by_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        before = {"info": INFO, "licenses": LICENSES, "categories": categories.as_coco()}
        stream.write(json.dumps(before).encode().removesuffix(b"}") + b', "annotations": [')
        number = 0
        for image_id, (name, found) in enumerate(masks_by_name.items(), 1):
            images.append(image_record(image_id, name, found.size))
            for annotation in _annotations(found, categories, omissions, polygons):
                number += 1
                own = {"id": number, "image_id": image_id, **annotation}
                stream.write((", " if number > 1 else "").encode() + json.dumps(own).encode())
        stream.write(b'], "images": ' + json.dumps(images).encode() + b"}")


def _annotations(
    found: InstanceRuns, categories: Categories, omissions: Omissions, polygons: bool
) -> Iterator[dict[str, Any]]:
    for i, counts in enumerate(found.counts):
        runs = {"size": list(found.size), "counts": counts}
        segmentation: Any = {"size": list(found.size), "counts": counts.decode("ascii")}
        if polygons and is_crowd(found, i):
            plain = rle.plain_counts(rle.decode_counts(counts, found.size))
            segmentation = {"size": list(found.size), "counts": plain}
        elif polygons:
            outlines = trace(rle.decode_counts(counts, found.size))
            segmentation = [np.ravel(polygon).tolist() for polygon in outlines.polygons]
            if not segmentation:
                omissions.add("{} without pixels cannot be polygons and were left out.", 1)
                continue
        yield {
            "category_id": categories.number(found, i),
            "segmentation": segmentation,
            "area": rle.area(counts),
            "bbox": mask_api.toBbox(runs).tolist(),
            "iscrowd": int(is_crowd(found, i)),
            "score": float(found.scores[i]),
        }


def image_record(image_id: int, name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return what COCO's files say of an image of (height, width)."""
    return {
        "id": image_id,
        "file_name": name,
        "width": size[1],
        "height": size[0],
        "license": 0,
        "coco_url": "",
        "flickr_url": "",
        "date_captured": "",
    }


def is_crowd(found: InstanceRuns, i: int) -> bool:
    """Return whether an instance is a crowd."""
    return found.crowd is not None and bool(found.crowd[i])
