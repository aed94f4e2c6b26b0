"""Run a model over the photographs of a data set and keep its soft masks."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from evaluation.arguments import model_settings
from evaluation.dis_files import Subset, image_folder, match
from evaluation.problems import Problem
from evaluation.streaming import Item, Row, measure_all
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.registry import registered_source
from segdemo.images import load_rgb, to_grey


def predict(subsets: Sequence[Subset], folder: Path, options: argparse.Namespace) -> list[Problem]:
    """Write `folder`/subset/stem.png, 8-bit grey, of every ground truth that has a photograph.

    A killed run goes on where it stopped if photographs, model and settings are the same. Returns
    which photographs are missing or extra. Raises InputError.
    """
    assistant = AnnotationAssistant(options.model, options.device, options.precision)
    settings = model_settings(assistant, options)
    problems: list[Problem] = []
    items = []
    for subset in subsets:
        photos = image_folder(options.images or options.ground_truth, subset)
        pairs, wrong = match(subset, photos, partner="photograph")
        problems += wrong
        place = folder / subset.name
        place.mkdir(parents=True, exist_ok=True)
        for old in set(place.glob("*.png")) - {place / f"{pair.stem}.png" for pair in pairs}:
            old.unlink()  # of an earlier run: it would count as an extra prediction
        items += [
            Item(f"{pair.name} predicted", (pair.prediction,), place / f"{pair.stem}.png")
            for pair in pairs
        ]
    photo_of = {item.payload: item.files[0] for item in items}
    assistant.load()

    def write_mask(target: Path) -> Row:
        grey = to_grey(assistant.segment(load_rgb(photo_of[target]), settings).mask)
        beside = target.with_suffix(".new")
        Image.fromarray(grey).save(beside, format="PNG")
        beside.replace(target)
        return {}

    identity = (options.model, _stamp(options.model), options.precision, settings)
    for _ in measure_all(items, write_mask, 1, options.output_dir, identity):
        pass
    return problems


def _stamp(model: str) -> str:
    """Return a number that changes with a model's files and those of its base."""
    found = locate_diffdis(model)
    folders = [found.unet if found.unet.is_file() else found.folder]
    if found.card.base and registered_source(found.card.base, "diffdis"):
        folders.append(locate_diffdis(found.card.base).folder)
    files = [f for place in folders for f in (sorted(place.rglob("*")) or [place])]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()
