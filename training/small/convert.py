"""Convert images of public collections to the form that `training.small.scenes` reads.

Cut-outs become WebP with alpha, photographs WebP, masks 1-bit PNG, instance maps 16-bit PNG
(0 = background, 65535 = ignore). `training.small.fetch` calls these; a checkout can be converted by
hand with them too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools.coco import COCO
from scipy.io import loadmat

from segdemo.datatypes import InputError
from training.small.scenes.material import IGNORED_INSTANCE

QUALITY = 80  # of WebP; scenes are smaller than the images, so its traces are scaled away


def convert_cutouts(files: list[Path], folder: Path, longest: int) -> int:
    """Write RGBA images into `folder` as WebP, cropped to what is visible; return their count.

    longest: pixels of the longer side, larger images are shrunk to it. Raises InputError for a
    file that is missing or holds nothing visible.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        _require(path)
        with Image.open(path) as picture:
            cutout = picture.convert("RGBA")  # also from a palette with transparency
        visible = cutout.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
        if visible is None:
            raise InputError(f"{path} shows nothing: a cut-out needs opaque pixels.")
        cutout = cutout.crop(visible)
        cutout.thumbnail((longest, longest))
        cutout.save(folder / f"{path.stem}.webp", quality=QUALITY)
    return len(files)


def convert_ccp(checkout: Path, folder: Path, names: list[str]) -> int:
    """Write Clothing Co-Parsing's people: photo and a 1-bit mask of every label but `null`."""
    for name in names:
        annotation = checkout / "annotations" / "pixel-level" / f"{name}.mat"
        photo = checkout / "photos" / f"{name}.jpg"
        _require(annotation, photo)
        person = loadmat(annotation)["groundtruth"] > 0  # (H, W); 0 = null
        mask = Image.fromarray(person)
        size = _write_photo(photo, folder / "images", 576)
        _write_labels(mask.resize(size, Image.Resampling.NEAREST), folder / "masks" / f"{name}.png")
    return len(names)


def convert_coco(checkout: Path, folder: Path, names: list[str]) -> int:
    """Write the chosen photos of one COCO subset with their instance maps; return their count.

    Reads every `panoptic_*.json` and `instances_*.json` below `checkout`; panoptic maps come first
    because theirs do not overlap. A photo that `folder` already holds is left alone.
    """
    wanted = {name: path for path in checkout.rglob("*.jpg") if (name := path.stem) in set(names)}
    sources = [(_panoptic_labels, path) for path in sorted(checkout.rglob("panoptic_*.json"))]
    sources += [(_polygon_labels, path) for path in sorted(checkout.rglob("instances_*.json"))]
    written = 0
    for labels_of, file in sources:
        for name, labels in labels_of(file, set(wanted)):
            target = folder / "instances" / f"{name}.png"
            if target.exists():
                continue
            size = _write_photo(wanted[name], folder / "images", 512)
            picture = Image.fromarray(labels)
            _write_labels(picture.resize(size, Image.Resampling.NEAREST), target)
            written += 1
    return written


def convert_bsds(checkout: Path, folder: Path) -> int:
    """Write BSDS500's training and validation photos; its test photos are held out."""
    images = checkout / "BSDS500" / "data" / "images"
    photos = sorted(path for part in ("train", "val") for path in (images / part).glob("*.jpg"))
    if not photos:
        raise InputError(f"{images} holds no train/*.jpg or val/*.jpg: is this BIDS/BSDS500?")
    for photo in photos:
        _write_photo(photo, folder, 481)
    return len(photos)


def convert_bsds_boundaries(checkout: Path, folder: Path) -> int:
    """Write how many of the people who looked at a photo drew a boundary at each pixel, of all.

    Of the training and validation photos; 8-bit PNG, 255: all of them.
    """
    truths = checkout / "BSDS500" / "data" / "groundTruth"
    files = sorted(path for part in ("train", "val") for path in (truths / part).glob("*.mat"))
    if not files:
        raise InputError(f"{truths} holds no train/*.mat or val/*.mat: is this BIDS/BSDS500?")
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        people = loadmat(str(file))["groundTruth"].ravel()
        drawn = np.stack([person["Boundaries"][0, 0] > 0 for person in people])  # (people, H, W)
        Image.fromarray(np.rint(drawn.mean(0) * 255).astype(np.uint8)).save(
            folder / f"{file.stem}.png"
        )
    return len(files)


def _panoptic_labels(
    annotations: Path, wanted: set[str]
) -> Iterator[tuple[str, npt.NDArray[np.uint16]]]:
    """Yield name and (H, W) instance map: things are 1.., stuff is 0, crowds and void ignored."""
    content = json.loads(annotations.read_text())
    things = {category["id"] for category in content["categories"] if category["isthing"]}
    for annotation in content["annotations"]:
        name = Path(annotation["file_name"]).stem
        ids_file = annotations.with_suffix("") / annotation["file_name"]
        if name not in wanted or not ids_file.is_file():
            continue
        colours = np.asarray(Image.open(ids_file).convert("RGB"), np.uint32)
        ids = colours @ np.array([1, 256, 256**2], np.uint32)  # (H, W), COCO's colour code
        labels = np.where(ids == 0, IGNORED_INSTANCE, 0).astype(np.uint16)
        number = 0
        for segment in annotation["segments_info"]:
            if segment["category_id"] not in things:
                continue
            if segment["iscrowd"]:
                labels[ids == segment["id"]] = IGNORED_INSTANCE
            else:
                number += 1
                labels[ids == segment["id"]] = number
        yield name, labels


def _polygon_labels(
    annotations: Path, wanted: set[str]
) -> Iterator[tuple[str, npt.NDArray[np.uint16]]]:
    """Yield name and (H, W) instance map; where objects overlap, the smaller one is in front."""
    coco: Any = COCO(annotations)
    for image in coco.loadImgs(coco.getImgIds()):
        name = Path(image["file_name"]).stem
        if name not in wanted:
            continue
        objects = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        objects.sort(key=lambda item: (not item["iscrowd"], -item["area"]))  # crowds last
        labels = np.zeros((image["height"], image["width"]), np.uint16)
        number = 0
        for item in objects:
            number += not item["iscrowd"]
            labels[coco.annToMask(item) > 0] = IGNORED_INSTANCE if item["iscrowd"] else number
        yield name, labels


def _write_photo(photo: Path, folder: Path, longest: int) -> tuple[int, int]:
    """Write a photo as WebP, at most `longest` pixels wide and high; return its (width, height)."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(photo) as picture:
        image = picture.convert("RGB")
    image.thumbnail((longest, longest))
    image.save(folder / f"{photo.stem}.webp", quality=QUALITY)
    return image.size


def _write_labels(labels: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels.save(path)


def _require(*files: Path) -> None:
    for path in files:
        if not path.is_file():
            raise InputError(f"{path} is missing: see training/README.md for the version.")
