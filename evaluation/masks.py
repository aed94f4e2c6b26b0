"""IoU at 0.5 of a model's masks over folders of photographs, averaged per image.

python -m evaluation.masks --bench BENCH --subsets composite ccp davis coco_single

Every subset is a folder with `images/` and `masks/` (same stems; a mask is white where the subject
is). `--panel FILE` also writes pictures, truths and predictions side by side, to be looked at;
`--panel_count` of each subset, from the best to the worst. `--round_trip` measures the autoencoder
alone: what is left of true masks that go through its latents.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from tqdm import tqdm

from evaluation.arguments import add_model_settings, model_settings
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.diffdis.loading import load_pipeline
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffusion import pick_device
from segdemo.images import load_rgb, resize_map, to_grey

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


@dataclass(frozen=True, eq=False)
class Measured:
    """One picture's IoU, and the strip (picture, truth, prediction) that shows it."""

    iou: float
    strip: Image.Image


def measure(
    found: list[tuple[Path, Path]], segment: Callable[[RGBImage], SegmentationResult]
) -> list[Measured]:
    """Compare what a model finds with the truth, pair by pair."""
    measured = []
    for image_file, mask_file in tqdm(found, file=sys.stderr):
        image = load_rgb(image_file)
        truth = np.asarray(Image.fromarray(load_rgb(mask_file)).convert("L")) > 127
        result = segment(image)
        if truth.shape != result.mask.shape:
            raise InputError(f"{mask_file} is {truth.shape}, its image {result.mask.shape}.")
        value = iou(result.binary(), truth)
        tiles = (image, truth, to_grey(result.mask))
        measured.append(Measured(value, _strip([Image.fromarray(tile) for tile in tiles], value)))
    return measured


def round_trip(found: list[tuple[Path, Path]], pipeline: DiffDISPipeline, size: int) -> list[float]:
    """Return the IoU of each pair's true mask with itself after the autoencoder, at `size`."""
    values = []
    for _, mask_file in tqdm(found, file=sys.stderr):
        mask = Image.fromarray(load_rgb(mask_file)).convert("L")
        squashed = np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR), np.float32)
        plane = torch.from_numpy(squashed / 127.5 - 1).to(pipeline.device)  # (S, S)
        with torch.inference_mode():
            decoded = pipeline.decode(pipeline.encode(plane.expand(1, 3, -1, -1)))[0]  # (S, S)
        back = resize_map(decoded.cpu().numpy(), (mask.height, mask.width))
        values.append(iou(back > 0.5, np.asarray(mask) > 127))
    return values


def spread(measured: list[Measured], count: int) -> list[Measured]:
    """Choose `count` from the best to the worst, evenly by rank; all of them for 0."""
    if not 0 < count < len(measured):
        return measured
    ranked = sorted(measured, key=lambda one: -one.iou)
    places = np.linspace(0, len(ranked) - 1, count).round().astype(int)
    return [ranked[place] for place in places]


def _strip(tiles: list[Image.Image], value: float) -> Image.Image:
    strip = Image.new("RGB", (TILE * len(tiles), TILE))
    for column, tile in enumerate(tiles):
        strip.paste(tile.convert("RGB").resize((TILE, TILE)), (column * TILE, 0))
    ImageDraw.Draw(strip).text((strip.width - 30, 4), f"{value:.2f}", fill="yellow")
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
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name, folder, file or Hub id")
    parser.add_argument("--device", default="auto")
    add_model_settings(parser)
    parser.add_argument("--panel", type=Path, help="write a contact sheet here")
    parser.add_argument("--panel_count", type=int, default=0, help="pictures of each; 0: all")
    parser.add_argument(
        "--round_trip", action="store_true", help="measure the autoencoder alone, at --size"
    )
    options = parser.parse_args(argv)
    try:
        assistant = AnnotationAssistant(options.model, options.device)
        settings = model_settings(assistant, options)
        if options.round_trip:
            pipeline = load_pipeline(locate_diffdis(options.model), pick_device(options.device))
        figures, strips = {}, []
        for subset in options.subsets:
            found = pairs(options.bench / subset)
            if options.round_trip:
                values = round_trip(found, pipeline, settings.size or assistant.native_size)
            else:
                measured = measure(found, lambda image: assistant.segment(image, settings))
                values = [one.iou for one in measured]
                strips += [one.strip for one in spread(measured, options.panel_count)]
            figures[subset] = round(sum(values) / len(values), 3)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    way = {"size": settings.size or assistant.native_size}
    way |= {} if options.round_trip else {"augment": settings.augment, "follow": settings.follow}
    print(json.dumps({"iou": figures} | way))
    if options.panel and strips:
        _panel(strips).save(options.panel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
