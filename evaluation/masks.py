"""IoU at 0.5 of a model's masks over folders of photographs, averaged per image.

python -m evaluation.masks --bench BENCH --subsets composite ccp davis coco_single

Every subset is a folder with `images/` and `masks/` (same stems; a mask is white where the subject
is). `--panel FILE` also writes pictures, truths and predictions side by side, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import load_rgb, to_grey

TILE = 160  # pixels of a panel's picture


def iou(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Return intersection over union of two (H, W) masks; 1 when both are empty."""
    union = int((predicted | truth).sum())
    return int((predicted & truth).sum()) / union if union else 1.0


def pairs(subset: Path) -> list[tuple[Path, Path]]:
    """Match images and masks by stem; raises InputError naming the first without a partner."""
    images = sorted((subset / "images").glob("*"))
    if not images:
        raise InputError(f"{subset} has no images/ folder with pictures: check --bench.")
    masks = {path.stem: path for path in (subset / "masks").glob("*")}
    for image in images:
        if image.stem not in masks:
            raise InputError(f"{image} has no mask in {subset / 'masks'}: add it or remove it.")
    return [(image, masks[image.stem]) for image in images]


def measure(
    found: list[tuple[Path, Path]], segment: Callable[[RGBImage], SegmentationResult]
) -> tuple[float, list[Image.Image]]:
    """Return the mean IoU over the pairs and a strip (picture, truth, prediction) of each."""
    values, strips = [], []
    for image_file, mask_file in tqdm(found, file=sys.stderr):
        image = load_rgb(image_file)
        truth = np.asarray(Image.fromarray(load_rgb(mask_file)).convert("L")) > 127
        result = segment(image)
        if truth.shape != result.mask.shape:
            raise InputError(f"{mask_file} is {truth.shape}, its image {result.mask.shape}.")
        values.append(iou(result.binary(), truth))
        tiles = (image, truth, to_grey(result.mask))
        strips.append(_strip([Image.fromarray(tile) for tile in tiles]))
    return sum(values) / len(values), strips


def _strip(tiles: list[Image.Image]) -> Image.Image:
    strip = Image.new("RGB", (TILE * len(tiles), TILE))
    for column, tile in enumerate(tiles):
        strip.paste(tile.convert("RGB").resize((TILE, TILE)), (column * TILE, 0))
    return strip


def _panel(strips: list[Image.Image], columns: int = 3) -> Image.Image:
    width, height = strips[0].size
    rows = -(-len(strips) // columns)
    panel = Image.new("RGB", (width * columns, height * rows))
    for index, strip in enumerate(strips):
        panel.paste(strip, (index % columns * width, index // columns * height))
    return panel


def main(argv: list[str] | None = None) -> int:
    """Measure and print one JSON line; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, required=True, help="folder of the subsets")
    parser.add_argument("--subsets", nargs="+", default=["composite", "ccp", "davis"])
    parser.add_argument("--model", default="small", help="name, folder, file or Hub id")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=0, help="working size, 0 = the model's own")
    parser.add_argument("--augment", action="store_true", help="average six passes")
    parser.add_argument("--panel", type=Path, help="write a contact sheet here")
    options = parser.parse_args(argv)
    try:
        assistant = AnnotationAssistant(options.model, options.device)
        settings = DiffDISSettings(size=options.size, augment=options.augment)
        figures, strips = {}, []
        for subset in options.subsets:
            found = pairs(options.bench / subset)
            mean, new = measure(found, lambda image: assistant.segment(image, settings))
            figures[subset] = round(mean, 3)
            strips += new
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"iou": figures, "size": settings.size or assistant.native_size}))
    if options.panel:
        _panel(strips).save(options.panel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
