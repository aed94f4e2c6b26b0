"""Images with pseudo-panoptic masks: read, checked, scaled, cropped, mirrored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from segdemo.annotations.file_names import path_inside
from segdemo.annotations.notes import MALFORMED
from segdemo.annotations.panoptic_segments import CocoSegments
from segdemo.datatypes import InputError, RGBImage
from segdemo.images import image_size, load_rgb
from segdemo.panoptic_quality import Segments
from segdemo.regular_files import read_regular
from training.data_problems import DataProblem
from training.loop.sampling import BatchIndex
from training.panoptic.network import PanopticClass, normalize


@dataclass(frozen=True)
class PanopticImage:
    """An image and its segments. number: its id in the JSON."""

    number: int
    photo: Path
    reader: CocoSegments


@dataclass(frozen=True)
class PanopticSet:
    """What a panoptic JSON lists, in its order."""

    classes: tuple[PanopticClass, ...]
    images: list[PanopticImage]
    problems: list[DataProblem]


@dataclass(frozen=True, eq=False)
class PanopticBatch:
    """images: (B, 3, S, S) float32, as the network takes them.

    masks: of each image (n, S, S) float32, 0 or 1. labels: of each (n,) int64, places in the
    classes.
    """

    images: torch.Tensor
    masks: list[torch.Tensor]
    labels: list[torch.Tensor]

    def to(self, device: torch.device) -> PanopticBatch:
        """Return the batch on a device."""
        return PanopticBatch(
            self.images.to(device),
            [one.to(device) for one in self.masks],
            [one.to(device) for one in self.labels],
        )


def read_panoptic_set(annotations: Path, photos: Path) -> PanopticSet:
    """Read a panoptic JSON with the PNGs beside it, and find its photos; raises InputError.

    Problems: images whose photo or PNG is missing, damaged or of another size, and those without
    any segment.
    """
    try:
        content = json.loads(read_regular(annotations))
        classes = tuple(
            PanopticClass(int(one["id"]), str(one["name"]), bool(one["isthing"]))
            for one in sorted(content["categories"], key=lambda one: int(one["id"]))
        )
        names = {one["id"]: str(one["file_name"]) for one in content["images"]}
        entries = list(content["annotations"])
    except OSError as error:
        raise InputError(f"{annotations} cannot be read ({error.strerror}): check it.") from error
    except (*MALFORMED, UnicodeDecodeError) as error:
        raise InputError(
            f"{annotations} is not a panoptic JSON: write it with segdemo refine --semantic "
            "--format panoptic."
        ) from error
    if not classes:
        raise InputError(f"{annotations} has no categories: nothing can be learned from it.")
    images, problems = [], []
    numbers = {one.number for one in classes}
    for entry in entries:
        try:
            image = _image_of(entry, names, annotations, photos)
            _check(image, numbers)
        except InputError as error:
            problems.append(DataProblem(annotations, str(error)))
        except MALFORMED as error:
            problems.append(DataProblem(annotations, f"has an incomplete annotation ({error!r})."))
        else:
            images.append(image)
    return PanopticSet(classes, images, problems)


@dataclass(frozen=True)
class PanopticBatches:
    """Makes batches of images at a random scale, cropped, half of them mirrored.

    Scale 1 fits the longer side into `size`; what a crop does not fill is black and void. Segments
    of fewer than `smallest_area` pixels after scaling do not count.
    """

    images: list[PanopticImage]
    classes: tuple[PanopticClass, ...]
    size: int
    batch_size: int
    scales: tuple[float, float] = (0.5, 2.0)
    smallest_area: int = 4

    def __call__(self, index: BatchIndex) -> PanopticBatch:
        """Make a batch."""
        rng = index.rng
        photos, masks, labels = [], [], []
        for item in index.items(len(self.images), self.batch_size):
            image = self.images[item]
            segments = image.reader.load()
            photo, ids = self._crop(load_rgb(image.photo), segments.ids, rng)
            found, places = self._targets(ids, segments)
            photos.append(normalize(photo))
            masks.append(found)
            labels.append(places)
        return PanopticBatch(torch.stack(photos), masks, labels)

    def _crop(
        self, photo: RGBImage, ids: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[RGBImage, npt.NDArray[np.int32]]:
        """Return a random part at (S, S)."""
        height, width = ids.shape
        scale = rng.uniform(*self.scales) * self.size / max(height, width)
        wide, high = min(width, self.size / scale), min(height, self.size / scale)
        left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
        box = (left, top, left + wide, top + high)
        size = (max(1, round(wide * scale)), max(1, round(high * scale)))
        cropped = np.zeros((self.size, self.size, 3), np.uint8)
        kept = np.zeros((self.size, self.size), np.int32)
        part = Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR, box)
        cropped[: size[1], : size[0]] = np.asarray(part)
        numbers = Image.fromarray(ids.astype(np.int32))
        nearest = numbers.resize(size, Image.Resampling.NEAREST, box)
        kept[: size[1], : size[0]] = np.asarray(nearest)
        turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
        return cropped[:, turn], kept[:, turn]

    def _targets(
        self, ids: npt.NDArray[np.int32], segments: Segments
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks (n, S, S) and places of classes (n,) of what is left; crowds are not."""
        place = {one.number: i for i, one in enumerate(self.classes)}
        present, areas = np.unique(ids, return_counts=True)
        kept = [
            number
            for number, area in zip(present.tolist(), areas.tolist(), strict=True)
            if number in segments.categories
            and number not in segments.crowd
            and area >= self.smallest_area
        ]
        masks = ids == np.array(kept, np.int32).reshape(-1, 1, 1)  # (n, S, S)
        labels = [place[segments.categories[number]] for number in kept]
        return torch.from_numpy(masks).float(), torch.tensor(labels, dtype=torch.int64)


def _image_of(entry: Any, names: dict[Any, str], annotations: Path, photos: Path) -> PanopticImage:
    file_name = str(entry["file_name"])
    places = [
        path_inside(folder, file_name, annotations.name)
        for folder in (annotations.with_suffix(""), annotations.parent)
    ]
    ids = next((place for place in places if place.is_file()), None)
    if ids is None:
        raise InputError(f"needs {file_name}: put it into the folder {annotations.stem} beside it.")
    photo = path_inside(photos, names[entry["image_id"]], annotations.name)
    if not photo.is_file():
        raise InputError(f"needs the photo {photo}: check --images.")
    reader = CocoSegments(ids, tuple(entry["segments_info"]))
    return PanopticImage(int(entry["image_id"]), photo, reader)


def _check(image: PanopticImage, numbers: set[int]) -> None:
    """Raise InputError for sizes that differ, classes that are not listed, and no segments."""
    with_png = image_size(image.reader.image)
    if (size := image_size(image.photo)) != with_png:
        raise InputError(
            f"{image.reader.image.name} is {with_png[1]} x {with_png[0]}, its photo {size[1]} x "
            f"{size[0]}: give the photos that it was made of."
        )
    categories = {int(one["category_id"]) for one in image.reader.segments}
    if unknown := categories - numbers:
        raise InputError(f"{image.photo.name} has class {min(unknown)}, which is not listed.")
    if not categories:
        raise InputError(f"{image.photo.name} has no segment: nothing can be learned from it.")
