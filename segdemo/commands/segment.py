"""`segment`: cut the subject out of photos."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segdemo.batch import Handler, SegmentationFiles, segmentation_handler
from segdemo.checkpoints.registry import DEFAULT_MODEL, registered_names
from segdemo.commands.arguments import (
    add_device,
    add_files,
    add_settings,
    add_workers,
    fraction,
    given,
)
from segdemo.commands.digests import model_digest
from segdemo.commands.folder_run import run_in_folder
from segdemo.commands.inputs import create_folder, list_images
from segdemo.datatypes import InputError
from segdemo.diffdis.settings import DiffDISSettings


def add_segment(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "segment",
        help="find the subject of photos: mask, edge and cut-out",
        description="Write <stem>_mask.png and <stem>_edge.png (8-bit grey, the photo's size) and "
        "<stem>_cutout.png (RGBA) for every photo. Photos that an earlier run in the same "
        "folder has finished with the same settings are not done again; a folder's photos keep "
        "their sub-folders; of photos that share a stem the later ones become <stem>-2, <stem>-3.",
    )
    add_files(parser)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"registered name ({', '.join(registered_names('diffdis'))}), checkpoint folder, "
        "U-Net .safetensors file or Hub id (default: %(default)s)",
    )
    add_device(parser)
    parser.add_argument(
        "--threshold",
        type=fraction,
        metavar="T",
        help="write hard masks: 255 where the soft mask exceeds T in [0, 1] (default: soft masks)",
    )
    add_settings(parser, DiffDISSettings)
    add_workers(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Cut the subject out of every image; returns the exit code."""
    output_dir: Path = arguments.output_dir
    try:
        chosen = given(arguments, DiffDISSettings)
        DiffDISSettings(**chosen)  # complains before anything is loaded
        results = partial(SegmentationFiles.below, output_dir)
        image_files = list_images(arguments.inputs, output_dir, results)
        create_folder(output_dir)
        settings = {
            "model": arguments.model,
            "files of the model": model_digest(arguments.model),
            "precision": arguments.precision,
            "threshold": arguments.threshold,
            **chosen,
        }
        model = arguments.model, arguments.device, arguments.precision
        load = partial(_load, model, chosen, output_dir, arguments.threshold)
        workers = arguments.workers
        return run_in_folder("segment", settings, image_files, output_dir, load, workers)
    except InputError as error:
        parser.error(str(error))


def _load(
    model: tuple[str, str, str],
    chosen: Mapping[str, Any],
    output_dir: Path,
    threshold: float | None,
) -> Handler:
    """Load the model and bind its settings; raises InputError."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(*model)
    assistant.load()
    segment = partial(assistant.segment, settings=replace(assistant.segment_defaults, **chosen))
    return segmentation_handler(segment, output_dir, threshold)
