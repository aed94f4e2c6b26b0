"""What `trace` and `edges` share: a backbone, the settings of a trace, and the loop over images."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdemo.batch import Handler
from segdemo.checkpoints.registry import DEFAULT_BACKBONE
from segdemo.commands.arguments import (
    add_autoencoder,
    add_device,
    add_files,
    add_settings,
    given,
)
from segdemo.commands.digests import model_digest
from segdemo.commands.engines import add_engine, add_shards, check_shards, chosen_engine
from segdemo.commands.folder_run import run_in_folder
from segdemo.commands.inputs import create_folder, list_images
from segdemo.commands.progress import FailFastError, fail_fast
from segdemo.commands.shard_run import run_shards
from segdemo.datatypes import InputError
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.diffegg.settings import TraceSettings

if TYPE_CHECKING:
    from segdemo.assistant import AnnotationAssistant

MakeHandle = Callable[["AnnotationAssistant", TraceSettings, str, Path], Handler]
"""From the model, its settings, the threshold rule and the output folder to what is done."""


def add_trace_flags(parser: argparse.ArgumentParser) -> None:
    """Add images, backbone, device, threshold rule and every field of `TraceSettings`."""
    add_files(parser, inputs="*", output_required=False)
    parser.add_argument(
        "--backbone",
        default=DEFAULT_BACKBONE,
        metavar="NAME|FOLDER|HUB",
        help="model whose attention is read: small, small-imagenet (embedded), or the folder or "
        "Hub id of a Stable Diffusion 1.5, 2.1, Turbo, XL, 3 or 3.5, PixArt-alpha or FLUX.1, or of "
        "a vision transformer (DINO, DINOv2, CLIP, SigLIP) or LLaVA, which have one step and no "
        "PeakKL (default: %(default)s)",
    )
    add_device(parser)
    add_autoencoder(parser)
    add_settings(
        parser,
        TraceSettings,
        timesteps={"metavar": "T"},
        fixed_timestep={"type": timestep_or_peak, "metavar": "T|peak"},
        layers={"metavar": "PARTS"},
    )
    sentences = " ".join(f"{rule}: {sentence}" for rule, sentence in RULES.items())
    parser.add_argument(
        "--rule",
        choices=tuple(RULES),
        default="paper",
        help=f"Thresholds of the edge score. {sentences}".replace("%", "%%")
        + " (default: %(default)s)",
    )
    add_engine(parser)
    add_shards(parser)


def timestep_or_peak(text: str) -> int | None:
    """Read a timestep, or "peak" for the one that PeakKL chooses."""
    if text == "peak":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a timestep nor peak")
    return int(text)


def run_on_images(
    verb: str,
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    results: Callable[[str], Iterable[Path]],
    make_handle: MakeHandle,
) -> int:
    """Run a command on every image; returns the exit code.

    results: names the files that will be written for a stem. make_handle: a module's own function.
    """
    output_dir: Path = arguments.output_dir
    try:
        chosen = given(arguments, TraceSettings)
        TraceSettings(**chosen)  # complains before anything is loaded
        settings = {
            "backbone": arguments.backbone,
            "files of the backbone": model_digest(arguments.backbone),
            "precision": arguments.precision,
            "autoencoder": arguments.autoencoder,
            "files of the autoencoder": model_digest(arguments.autoencoder),
            "rule": arguments.rule,
            **chosen,
        }
        model = arguments.device, arguments.precision, arguments.backbone, arguments.autoencoder
        load_into = partial(partial, _load, make_handle, model, chosen, arguments.rule)
        if check_shards(arguments):
            return run_shards(verb, settings, arguments, load_into)
        image_files = list_images(arguments.inputs, output_dir, results)
        create_folder(output_dir)
        load, engine = load_into(output_dir), chosen_engine(arguments)
        return run_in_folder(verb, settings, image_files, output_dir, load, engine)
    except (InputError, FailFastError) as error:
        parser.error(str(error))


def open_assistant(
    model: tuple[str, str, str, str], chosen: Mapping[str, Any]
) -> tuple[AnnotationAssistant, TraceSettings]:
    """Return the assistant of (device, precision, backbone, autoencoder), and its settings."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    device, precision, backbone, autoencoder = model
    assistant = AnnotationAssistant(
        device=device, precision=precision, backbone=backbone, autoencoder=autoencoder
    )
    return assistant, replace(assistant.trace_defaults, **chosen)


def _load(
    make_handle: MakeHandle,
    model: tuple[str, str, str, str],
    chosen: Mapping[str, Any],
    rule: str,
    output_dir: Path,
) -> Handler:
    assistant, settings = open_assistant(model, chosen)
    assistant.load_backbone()
    return fail_fast(make_handle(assistant, settings, rule, output_dir))
