"""Run stage 1 of DiffEGG on many images, alone or as one of several processes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.datatypes import InputError, RGBImage
from segdemo.diffegg.loading import load_backbone
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.diffegg.settings import TraceSettings
from segdemo.diffusion import pick_device
from segdemo.files import write_json
from segdemo.precision import DTYPES
from training.loop.signals import catch_sigterm
from training.pseudo_edges.files import (
    SUMMARY,
    ProcessSummary,
    check_folder,
    note_problem,
    start_folder,
    summarise,
    write_problems,
)
from training.pseudo_edges.settings import PseudoEdgeSettings
from training.pseudo_edges.sources import FileImages, Images, SourceImage, open_images
from training.stored_edges import StoredEdge, read_edge, write_edge

logger = logging.getLogger(__name__)

WAIT = timedelta(days=30)  # of a process whose share is done, for the others


def make_pseudo_edges(settings: PseudoEdgeSettings) -> dict[str, Any]:
    """Score the edges of all images; returns what `summary.json` says, the same in every process.

    Raises InputError for settings, sources and models that do not work, and for a disk that is
    full. An image that cannot be read is a line in `problems.csv`. On SIGTERM and when time
    is up, the current image is finished first.
    """
    start_time = time.monotonic()
    # without a GPU accelerate must be told, or each process assumes a world size of 1
    cpu = settings.device == "cpu" or pick_device().type == "cpu"
    state = PartialState(cpu=cpu, timeout=WAIT)
    output_dir = Path(settings.output_dir)
    shuffle_seed = settings.seed if settings.shuffle else None
    with state.local_main_process_first():  # one download per machine
        files = locate_backbone(settings.backbone)
    tracing = settings.trace_settings(files)
    images = open_images(settings.pictures, settings.root, shuffle_seed, output_dir)
    fixed = settings.fixed_with(tracing)
    try:
        if state.is_main_process:
            start_folder(output_dir, fixed)
    finally:
        state.wait_for_everyone()
    check_folder(output_dir, fixed)
    backbone = load_backbone(files, state.device, DTYPES[settings.precision])
    scorer = _Scorer(DiffEGGPipeline(backbone), tracing, settings)
    with catch_sigterm() as stop_requested:

        def out_of_time() -> bool:
            return bool(settings.minutes) and time.monotonic() - start_time > 60 * settings.minutes

        part = _process_images(
            images, scorer, settings, state, lambda: stop_requested() or out_of_time()
        )
    parts: list[ProcessSummary] = gather_object([part])
    summary = summarise(parts)
    if state.is_main_process:
        write_problems(output_dir, parts)
        write_json(summary, output_dir / SUMMARY)
    return summary


class _Scorer:
    """Makes the result of an image."""

    def __init__(
        self, pipeline: DiffEGGPipeline, tracing: TraceSettings, settings: PseudoEdgeSettings
    ) -> None:
        self._pipeline, self._tracing = pipeline, tracing
        pipeline.attention_layers(tracing)  # complains before the first image
        self._rule, self._whole_curve = settings.rule, settings.curve

    def __call__(self, image: RGBImage) -> StoredEdge:
        """Score and split; raises InputError, also for too little memory."""
        try:
            found = self._pipeline.score_edges(image, self._tracing, self._whole_curve)
        except torch.OutOfMemoryError as error:
            raise InputError(
                "The device's memory is too small: choose --precision fp16 or bf16, or a smaller "
                f"--size (now {self._tracing.size})."
            ) from error
        split = pseudo_edge(found.score, self._rule)
        return StoredEdge(
            score=found.score.astype("float16"),
            timestep=found.timestep,
            timesteps=found.curve.timesteps,
            gaps=found.curve.gaps,
            peak_timestep=found.curve.peak_timestep,
            flat=found.curve.no_peak,
            lower=split.lower,
            upper=split.upper,
            rule=split.rule,
            guarded=split.used_fallback,
            size=self._tracing.size,
            picture_size=(image.shape[0], image.shape[1]),
        )


def _process_images(
    images: Images,
    scorer: _Scorer,
    settings: PseudoEdgeSettings,
    state: PartialState,
    stop: Callable[[], bool],
) -> ProcessSummary:
    """Process this rank's images; the main process shows a progress bar of its share."""
    part, start = ProcessSummary(), time.monotonic()
    total = None
    if isinstance(images, FileImages):
        total = min(len(images), settings.count or len(images))
    share = None if total is None else len(range(state.process_index, total, state.num_processes))
    with tqdm(
        total=share,
        unit="image",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        mininterval=1 if sys.stderr.isatty() else 60,  # in a file, once a minute
        disable=not state.is_main_process,
    ) as bar:
        for position, source in enumerate(islice(images, settings.count or None)):
            if position % state.num_processes != state.process_index:
                continue
            if stop():
                part.complete = False
                break
            _one(source, scorer, Path(settings.output_dir), part)
            part.seconds = time.monotonic() - start
            rate = part.made * state.num_processes / part.seconds
            bar.set_postfix_str(f"{rate:.2f} images/s, {len(part.problems)} problems", False)
            bar.update()
    part.left_out = getattr(images, "left_out", 0)
    return part


def _one(source: SourceImage, scorer: _Scorer, output_dir: Path, part: ProcessSummary) -> None:
    """Write an image's file, or skip it where it exists."""
    target = output_dir / f"{source.stem}.npz"
    if target.exists():
        try:
            part.add(read_edge(target))
            part.skipped += 1
            return
        except InputError:
            logger.info("%s is damaged and made again", target)
    try:
        image = source.read()
    except InputError as error:
        _problem(source, error, output_dir, part)
        return
    try:
        edge = scorer(image)
    except InputError as error:
        if not part.results:
            raise  # the model or the settings are wrong, not the image
        _problem(source, error, output_dir, part)
        return
    try:
        write_edge(edge, target)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror}): make room or choose another "
            "--output_dir; the same command resumes."
        ) from error
    part.add(edge)
    part.made += 1


def _problem(
    source: SourceImage, error: InputError, output_dir: Path, part: ProcessSummary
) -> None:
    logger.debug("%s", error)
    part.problems.append((source.name, str(error)))
    note_problem(output_dir, source.name, str(error))
