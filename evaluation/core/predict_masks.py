"""Run a model over the images of a data set and keep its soft masks."""

from __future__ import annotations

import argparse
import functools
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evaluation.core.cli import model_settings
from evaluation.core.models import mask_model
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample, measure_all
from evaluation.data.mask_pairs import Subset, image_folder, match
from evaluation.data.validation import FileError
from segdemo.assistant import AnnotationAssistant
from segdemo.autoencoders import Autoencoder
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.registry import registered_source
from segdemo.datatypes import FloatMap
from segdemo.diffdis.loading import load_autoencoder, locate_autoencoder
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffusion import decode_latents, encode_latents, pick_device
from segdemo.files import write_png
from segdemo.images import load_rgb, resize_map, to_grey

PAPER_SIZE = 1024
Predict = Callable[[Path], FloatMap]
"""Reads an image file and returns a soft mask (H, W) in [0, 1]."""


def predict(
    subsets: Sequence[Subset], folder: Path, options: argparse.Namespace
) -> tuple[list[FileError], str]:
    """Write `folder`/subset/stem.png, 8-bit grey, of every ground truth that has an image.

    A killed run resumes where it stopped if images, model and settings are the same. With
    `options.round_trip` or `options.autoencoder` the images are the true masks. Returns which
    images are missing or extra, and a note on the settings. Raises InputError.
    """
    restores = options.round_trip or bool(options.autoencoder)
    errors: list[FileError] = []
    samples = []
    for subset in subsets:
        images = image_folder(options.images or options.ground_truth, subset)
        pairs, unmatched = match(subset, subset.truth if restores else images, partner="image")
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
    if options.autoencoder:
        size, stamp = options.size or PAPER_SIZE, _stamp([locate_autoencoder(options.autoencoder)])
        predict_one = partial(through_autoencoder, options.autoencoder, options.device, size)
        note = f"autoencoder: {options.autoencoder}, at {size} pixels"
    else:
        assistant = AnnotationAssistant(options.model, options.device, options.precision)
        settings, stamp = model_settings(assistant, options), _stamp_model(options.model)
        note = f"model: {options.model}, {settings}"
        if options.round_trip:
            size = settings.size or assistant.native_size
            predict_one = partial(through_autoencoder, options.model, options.device, size)
        else:
            model = options.model, options.device, options.precision
            predict_one = partial(segment_file, model, settings)
    identity = (note, options.round_trip, stamp, options.precision)
    for _ in measure_all(
        samples,
        partial(write_mask, predict=predict_one),
        options.workers,
        options.output_dir,
        identity,
    ):
        pass
    return errors, note


def write_mask(files: tuple[Path, Path], predict: Predict) -> Row:
    """Write the mask of an image file to another."""
    image, target = files
    write_png(to_grey(predict(image)), target)
    return {}


def segment_file(model: tuple[str, str, str], settings: DiffDISSettings, file: Path) -> FloatMap:
    """Segment an image file by (model, device, precision), loaded once a process."""
    return mask_model(*model).segment(load_rgb(file), settings, edges=False).mask


def through_autoencoder(name: str, device: str, size: int, file: Path) -> FloatMap:
    """Send a mask through an autoencoder at `size` pixels, in float32.

    name: of what `load_autoencoder` takes; it is loaded once a process.
    """
    autoencoder = _autoencoder(name, device)
    mask = Image.fromarray(load_rgb(file)).convert("L")
    square = np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    plane = torch.from_numpy(square / 127.5 - 1).to(autoencoder.device)  # (S, S)
    with torch.inference_mode():
        latents = encode_latents(autoencoder, plane.expand(1, 3, -1, -1))
        decoded = decode_latents(autoencoder, latents)[0].mean(0)  # (S, S)
    grey = (decoded.clip(-1, 1) + 1) / 2
    return resize_map(grey.cpu().numpy(), (mask.height, mask.width))


@functools.cache
def _autoencoder(name: str, device: str) -> Autoencoder:
    return load_autoencoder(name).to(pick_device(device))


def _stamp_model(model: str) -> str:
    """Return a hash of a model's files and those of its base."""
    found = locate_diffdis(model)
    folders = [found.unet if found.unet.is_file() else found.folder]
    folders += [found.lora] if found.lora else []
    if found.card.base and registered_source(found.card.base, "diffdis"):
        folders.append(locate_diffdis(found.card.base).folder)
    return _stamp(folders)


def _stamp(folders: Sequence[Path]) -> str:
    """Return a hash of names, sizes and times of all files."""
    files = [f for place in folders for f in (sorted(place.rglob("*")) or [place])]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()
