r"""Stage 1 of DiffEGG over many pictures: PeakKL chooses a timestep, EdgeKL scores its edges.

    python -m training.pseudo_edges --pictures photos --output_dir runs/edges
    python -m training.pseudo_edges --pictures 'shards/{00000..00099}.tar' --output_dir runs/edges \
        --backbone stabilityai/stable-diffusion-2-1 --precision fp16
    accelerate launch -m training.pseudo_edges --pictures list.txt --output_dir runs/edges

Writes `<output_dir>/<path of the picture>.npz` (`pseudo_edge_files.StoredEdge`) for stage 2,
`training.diffegg`. Stopped at any moment, the same command goes on: what is there is passed over.
Several processes share the pictures, the k-th of n takes every n-th, and the output folder.
"""

from __future__ import annotations

import logging
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
from transformers import HfArgumentParser

from segdemo.assistant import PRECISIONS
from segdemo.checkpoints.backbone import locate_backbone
from segdemo.datatypes import InputError, RGBImage
from segdemo.diffegg.loading import load_backbone
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.diffegg.settings import TraceSettings
from segdemo.diffusion import pick_device
from segdemo.terminal import print_any_text
from training.loop.signals import sigterm
from training.pseudo_edges.files import (
    PROBLEMS,
    SUMMARY,
    Tally,
    begin_folder,
    check_settings,
    note_problem,
    summarise,
    write_json,
    write_problems,
)
from training.pseudo_edges.settings import PseudoEdgeSettings
from training.pseudo_edges.sources import FilePictures, Pictures, SourcePicture, open_pictures
from training.stored_edges import StoredEdge, read_edge, write_edge

logger = logging.getLogger(__name__)

PATIENCE = timedelta(days=30)  # of a process whose share is done while others still work


def make_pseudo_edges(settings: PseudoEdgeSettings) -> dict[str, Any]:
    """Score all pictures' edges; returns what `summary.json` says, the same in every process.

    Raises InputError for settings, sources and models that do not work, and for a disk that is
    full. A picture that cannot be read is a line in `problems.csv`. SIGTERM and the end of the
    time let the present picture be finished.
    """
    began = time.monotonic()
    # without a graphics card accelerate must be told, or each process takes itself for the only one
    cpu = settings.device == "cpu" or pick_device().type == "cpu"
    state = PartialState(cpu=cpu, timeout=PATIENCE)
    output_dir = Path(settings.output_dir)
    shuffle_seed = settings.seed if settings.shuffle else None
    with state.local_main_process_first():  # one download a machine
        files = locate_backbone(settings.backbone)
    tracing = settings.trace_settings(files)
    pictures = open_pictures(settings.pictures, settings.root, shuffle_seed, output_dir)
    kept = settings.remembered(tracing)
    try:
        if state.is_main_process:
            begin_folder(output_dir, kept)
    finally:
        state.wait_for_everyone()
    check_settings(output_dir, kept)
    backbone = load_backbone(files, state.device, PRECISIONS[settings.precision])
    scorer = _Scorer(DiffEGGPipeline(backbone), tracing, settings)
    with sigterm() as ended:

        def out_of_time() -> bool:
            return bool(settings.minutes) and time.monotonic() - began > 60 * settings.minutes

        tally = _walk(pictures, scorer, settings, state, lambda: ended() or out_of_time())
    tallies: list[Tally] = gather_object([tally])
    summary = summarise(tallies)
    if state.is_main_process:
        write_problems(output_dir, tallies)
        write_json(summary, output_dir / SUMMARY)
    return summary


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and go to work; 1 where pictures had problems, 2 for wrong usage."""
    print_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    summary_line = (__doc__ or "").partition("\n")[0]
    parser = HfArgumentParser(
        PseudoEdgeSettings, prog="python -m training.pseudo_edges", description=summary_line
    )
    try:
        (settings,) = parser.parse_args_into_dataclasses(argv)
        summary = make_pseudo_edges(settings)
    except InputError as error:
        logger.error("%s", error)
        return 2
    if PartialState().is_main_process:
        _report(summary, Path(settings.output_dir))
    return 1 if summary["problems"] else 0


class _Scorer:
    """Makes the result of one picture after another."""

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
            flat=found.curve.flat,
            lower=split.lower,
            upper=split.upper,
            rule=split.rule,
            guarded=split.guarded,
            size=self._tracing.size,
            picture_size=(image.shape[0], image.shape[1]),
        )


def _walk(
    pictures: Pictures,
    scorer: _Scorer,
    settings: PseudoEdgeSettings,
    state: PartialState,
    ended: Callable[[], bool],
) -> Tally:
    """Go through this process's pictures; on the main process with a bar of its share."""
    tally, start = Tally(), time.monotonic()
    total = None
    if isinstance(pictures, FilePictures):
        total = min(len(pictures), settings.count or len(pictures))
    share = None if total is None else len(range(state.process_index, total, state.num_processes))
    with tqdm(
        total=share,
        unit="picture",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        mininterval=1,
        disable=not state.is_main_process,
    ) as bar:
        for place, picture in enumerate(islice(pictures, settings.count or None)):
            if place % state.num_processes != state.process_index:
                continue
            if ended():
                tally.complete = False
                break
            _one(picture, scorer, Path(settings.output_dir), tally)
            tally.seconds = time.monotonic() - start
            rate = tally.made * state.num_processes / tally.seconds
            bar.set_postfix_str(f"{rate:.2f} pictures/s, {len(tally.problems)} problems", False)
            bar.update()
    tally.left_out = getattr(pictures, "left_out", 0)
    return tally


def _one(picture: SourcePicture, scorer: _Scorer, output_dir: Path, tally: Tally) -> None:
    """Make a picture's file, or pass it over where it is there."""
    target = output_dir / f"{picture.stem}.npz"
    if target.exists():
        try:
            tally.add(read_edge(target))
            tally.passed_over += 1
            return
        except InputError:
            logger.info("%s is damaged and made anew", target)
    try:
        image = picture.read()
    except InputError as error:
        _problem(picture, error, output_dir, tally)
        return
    try:
        edge = scorer(image)
    except InputError as error:
        if not tally.results:
            raise  # it is the model's fault, or that of the settings
        _problem(picture, error, output_dir, tally)
        return
    try:
        write_edge(edge, target)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror}): make room or choose another "
            "--output_dir; the same command goes on from there."
        ) from error
    tally.add(edge)
    tally.made += 1


def _problem(picture: SourcePicture, error: InputError, output_dir: Path, tally: Tally) -> None:
    logger.debug("%s", error)
    tally.problems.append((picture.name, str(error)))
    note_problem(output_dir, picture.name, str(error))


def _report(summary: dict[str, Any], output_dir: Path) -> None:
    """Say how it went."""
    unfinished = "" if summary["complete"] else ", stopped early: the same command goes on"
    logger.info(
        "%d pictures, %d of them new (%.2f a second)%s; results in %s",
        summary["pictures"],
        summary["made"],
        summary["pictures_per_second"],
        unfinished,
        output_dir,
    )
    chosen = ", ".join(f"{timestep}: {n}" for timestep, n in summary["timesteps"].items())
    logger.info(
        "timesteps chosen: %s; the guard against too little interior stepped in for %d (%.0f %%)",
        chosen or "none",
        summary["guarded"],
        100 * summary["guarded_share"],
    )
    if summary["left_out"]:
        logger.info(
            "%d pictures in archives were left out as parts of samples: WebDataset's names end at "
            "the first dot",
            summary["left_out"],
        )
    if summary["problems"]:
        logger.error("%d problems: see %s", summary["problems"], output_dir / PROBLEMS)
