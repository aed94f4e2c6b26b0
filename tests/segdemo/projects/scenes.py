"""A folder of small images with masks beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

HEIGHT, WIDTH = 40, 50


def photo(path: Path, seed: int = 0) -> Path:
    """Write noise as an image."""
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(path)
    return path


def labels() -> npt.NDArray[np.uint8]:
    """Two squares, numbered 1 and 2."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[5:15, 5:15], drawn[20:30, 20:40] = 1, 2
    return drawn


def photos(folder: Path, count: int = 4) -> Path:
    """Write p0.png, p1.png ..."""
    for number in range(count):
        photo(folder / f"p{number}.png", number)
    return folder


def coco(path: Path, name: str, with_mask: bool = True) -> Path:
    """Write COCO's JSON of one box or square of the class cat."""
    annotation = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [5, 5, 10, 10], "iscrowd": 0}
    if with_mask:
        annotation |= {"segmentation": [[5, 5, 15, 5, 15, 15, 5, 15]], "area": 100}
    content = {
        "images": [{"id": 7, "file_name": name, "width": WIDTH, "height": HEIGHT}],
        "annotations": [annotation],
        "categories": [{"id": 3, "name": "cat"}],
    }
    path.write_text(json.dumps(content))
    return path
