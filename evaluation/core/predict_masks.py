"""Run a model over the images of a data set and keep its soft masks."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evaluation.core.cli import model_settings
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample, measure_all
from evaluation.data.mask_pairs import Subset, image_folder, match
from evaluation.data.validation import FileError
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.registry import registered_source
from segdemo.datatypes import FloatMap
from segdemo.diffdis.loading import load_diffdis
from segdemo.diffusion import pick_device
from segdemo.files import write_png
from segdemo.images import load_rgb, resize_map, to_grey

Predict = Callable[[Path], FloatMap]
"""Reads an image file and returns a soft mask (H, W) in [0, 1]."""


def predict(
    subsets: Sequence[Subset], folder: Path, options: argparse.Namespace
) -> tuple[list[FileError], str]:
    """Write `folder`/subset/stem.png, 8-bit grey, of every ground truth that has an image.

    A killed run resumes where it stopped if images, model and settings are the same. With
    `options.round_trip` the images are the true masks. Returns which images are missing or extra,
    and a note on the settings. Raises InputError.
    """
    assistant = AnnotationAssistant(options.model, options.device, options.precision)
    settings = model_settings(assistant, options)
    errors: list[FileError] = []
    samples = []
    for subset in subsets:
        images = image_folder(options.images or options.ground_truth, subset)
        pairs, unmatched = match(
            subset, subset.truth if options.round_trip else images, partner="image"
        )
        errors += unmatched
        place = folder / subset.name
        place.mkdir(parents=True, exist_ok=True)
        targets = [place / f"{pair.stem}.png" for pair in pairs]
        for old in set(place.glob("*.png")) - set(targets):
            old.unlink()  # of an earlier run: it would count as an extra prediction
        samples += [
            Sample(f"{pair.name} predicted", (pair.prediction,), (pair.prediction, target))
            for pair, target in zip(pairs, targets, strict=True)
        ]
    if options.round_trip:
        predict_one = round_trip(options, settings.size or assistant.native_size)
    else:
        assistant.load()

        def predict_one(file: Path) -> FloatMap:
            return assistant.segment(load_rgb(file), settings).mask

    def write_mask(files: tuple[Path, Path]) -> Row:
        image, target = files
        write_png(to_grey(predict_one(image)), target)
        return {}

    identity = (options.model, options.round_trip, _stamp(options.model), options.precision)
    for _ in measure_all(samples, write_mask, 1, options.output_dir, (*identity, settings)):
        pass
    return errors, f"model: {options.model}, {settings}"


def round_trip(options: argparse.Namespace, size: int) -> Predict:
    """Return a function that sends a mask through a model's autoencoder at `size` pixels."""
    pipeline = load_diffdis(locate_diffdis(options.model), pick_device(options.device))

    def through_latents(file: Path) -> FloatMap:
        mask = Image.fromarray(load_rgb(file)).convert("L")
        square = np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR), np.float32)
        plane = torch.from_numpy(square / 127.5 - 1).to(pipeline.device)  # (S, S)
        with torch.inference_mode():
            decoded = pipeline.decode(pipeline.encode(plane.expand(1, 3, -1, -1)))[0]  # (S, S)
        return resize_map(decoded.cpu().numpy(), (mask.height, mask.width))

    return through_latents


def _stamp(model: str) -> str:
    """Return a hash of names, sizes and times of a model's files and those of its base."""
    found = locate_diffdis(model)
    folders = [found.unet if found.unet.is_file() else found.folder]
    if found.card.base and registered_source(found.card.base, "diffdis"):
        folders.append(locate_diffdis(found.card.base).folder)
    files = [f for place in folders for f in (sorted(place.rglob("*")) or [place])]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()
