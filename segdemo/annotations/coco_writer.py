"""COCO's JSON of instances, as run lengths or as polygons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from segdemo.annotations import rle
from segdemo.annotations.categories import Categories
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.outlines import trace
from segdemo.datatypes import InstanceMasks
from segdemo.files import write_json

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


def _write(
    masks_by_name: Mapping[str, InstanceMasks], path: Path, omissions: Omissions, *, polygons: bool
) -> None:
    images: list[Any] = []
    annotations: list[Any] = []
    categories = Categories.of(masks_by_name)
    for image_id, (name, found) in enumerate(masks_by_name.items(), 1):
        images.append(image_record(image_id, name, found.size))
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
    content = {
        "info": INFO,
        "licenses": LICENSES,
        "images": images,
        "annotations": annotations,
        "categories": categories.as_coco(),
    }
    write_json(content, path)


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


def is_crowd(found: InstanceMasks, i: int) -> bool:
    """Return whether an instance is a crowd."""
    return found.crowd is not None and bool(found.crowd[i])
