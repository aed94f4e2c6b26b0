"""Train Mask2Former on pseudo-panoptic masks: from settings to a folder that transformers opens."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from segdemo.datatypes import InputError
from segdemo.diffusion import pick_device
from training.data_problems import report_problems
from training.holdout import clamp_held_out, hold_out
from training.loop.average import load_trained_state
from training.loop.checkpoints import RunFiles
from training.loop.trainer import Task, build_accelerator, train_loop
from training.panoptic.data import PanopticBatches, PanopticImage, PanopticSet, read_panoptic_set
from training.panoptic.network import TINY, PanopticLosses, PanopticModel, build_model
from training.panoptic.settings import PanopticSettings
from training.panoptic.validation import PanopticValidation

logger = logging.getLogger(__name__)

EXPORT, BEST = "export", "best"
BACKBONE = "network.model.pixel_level_module.encoder."


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start. settings: with the number of steps."""

    settings: PanopticSettings
    model: PanopticModel
    task: Task
    device: torch.device


def train(settings: PanopticSettings) -> Path:
    """Train and return the folder of the averaged weights of the end; raises InputError.

    `best/` beside it has those that validated best.
    """
    prepared = prepare(settings)
    folder = Path(settings.output_dir)
    run = train_loop(prepared.task, folder, prepared.settings, prepared.device)
    state = PartialState()
    if state.is_main_process:
        _export(prepared.model, run, folder)
    state.wait_for_everyone()
    return folder / EXPORT


def prepare(settings: PanopticSettings) -> Prepared:
    """Check the data, build the network and the task; raises InputError."""
    found, kept, held = _data(settings)
    device = build_accelerator(settings, pick_device(settings.device)).device
    torch.manual_seed(settings.first_seed)  # the same first weights on every process
    model = build_model(settings.model, found.classes, settings.queries).to(device)
    epoch = len(kept) / (settings.batch_size * settings.accumulation * PartialState().num_processes)
    settings = replace(
        settings,
        max_steps=min(math.ceil(epoch * settings.epochs) or settings.max_steps, settings.max_steps),
        epoch_steps=settings.epoch_steps or math.ceil(epoch),
    )
    scales = (settings.smallest_scale, settings.largest_scale)
    validation = PanopticValidation(
        model, held, Path(settings.output_dir), settings.size, settings.precision
    )
    factor = 1.0 if settings.model == TINY else settings.backbone_rate
    task = Task(
        model,
        PanopticBatches(kept, found.classes, settings.size, settings.batch_size, scales),
        PanopticLosses(model),
        validation if held else None,
        lambda name: factor if name.startswith(BACKBONE) else 1.0,
        settings.batch_size,
    )
    logger.info("%d images, %d to validate, %d steps", len(kept), len(held), settings.max_steps)
    return Prepared(settings, model, task, device)


def _data(
    settings: PanopticSettings,
) -> tuple[PanopticSet, list[PanopticImage], list[PanopticImage]]:
    """Return the training set, its images to train on and those to validate; raises InputError."""
    folder = Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    found = read_panoptic_set(Path(settings.annotations), Path(settings.images))
    problems = list(found.problems)
    true = None
    if settings.validation_annotations:
        photos = Path(settings.validation_images or settings.images)
        true = read_panoptic_set(Path(settings.validation_annotations), photos)
        problems += true.problems
    report_problems(problems, settings.allow_problems, folder / "problems.txt")
    if not found.images:
        raise InputError("No image is left to train on.")
    count = settings.validation_count if settings.validate_steps else 0
    rng = np.random.default_rng([settings.validation_seed, 5])
    if true is not None:
        if {(c.number, c.is_thing) for c in true.classes} - {
            (c.number, c.is_thing) for c in found.classes
        }:
            raise InputError(
                f"{settings.validation_annotations} has classes, or kinds of them, that "
                f"{settings.annotations} lacks: give both the same categories."
            )
        return found, found.images, hold_out(true.images, count, rng)[1]
    return found, *hold_out(found.images, clamp_held_out(count, len(found.images)), rng)


def _export(model: PanopticModel, run: RunFiles, folder: Path) -> None:
    model.save(folder / EXPORT)
    if run.best is not None:
        state = torch.load(run.best, map_location="cpu", weights_only=True)
        load_trained_state(model, state["average"]["values"])
        model.save(folder / BEST)
