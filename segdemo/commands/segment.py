"""`segment`: cut the subject out of photos."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segdemo.batch import SegmentationFiles, segment_files
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.commands.arguments import add_device, add_files, add_settings, fraction, given
from segdemo.commands.inputs import create_folder, list_images
from segdemo.commands.progress import report_progress
from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.diffdis.settings import DiffDISSettings


def add_segment(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "segment",
        help="find the subject of photos: mask, edge and cut-out",
        description="Write <stem>_mask.png and <stem>_edge.png (8-bit grey, the photo's size) and "
        "<stem>_cutout.png (RGBA) for every photo. Results of an earlier run in the same folder "
        "are replaced; a folder's photos keep their sub-folders; of photos that share a stem the "
        "later ones become <stem>-2, <stem>-3.",
    )
    add_files(parser)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="registered name (small, small-imagenet, official), checkpoint folder, U-Net "
        ".safetensors file or Hub id (default: %(default)s)",
    )
    add_device(parser)
    parser.add_argument(
        "--threshold",
        type=fraction,
        metavar="T",
        help="write hard masks: 255 where the soft mask exceeds T in [0, 1] (default: soft masks)",
    )
    add_settings(parser, DiffDISSettings)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Cut the subject out of every image; returns the exit code."""
    output_dir: Path = arguments.output_dir
    try:
        results = partial(SegmentationFiles.below, output_dir)
        image_files = list_images(arguments.inputs, output_dir, results)
        create_folder(output_dir)
        segment = _segmenter(arguments)
    except InputError as error:
        parser.error(str(error))
    statuses = segment_files(image_files, output_dir, segment, arguments.threshold)
    return report_progress(statuses, len(image_files), output_dir)


def _segmenter(
    arguments: argparse.Namespace,
) -> Callable[[RGBImage], SegmentationResult]:
    """Load the model and bind its settings; raises InputError."""
    chosen = given(arguments, DiffDISSettings)
    DiffDISSettings(**chosen)  # complains before anything is loaded
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(arguments.model, arguments.device, arguments.precision)
    assistant.load()
    return partial(assistant.segment, settings=replace(assistant.segment_defaults, **chosen))
