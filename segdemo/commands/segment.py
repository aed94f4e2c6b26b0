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
    add_autoencoder,
    add_device,
    add_files,
    add_settings,
    fraction,
    given,
)
from segdemo.commands.digests import model_digest, precision_used
from segdemo.commands.engines import add_engine, add_shards, check_shards, chosen_engine
from segdemo.commands.folder_run import run_in_folder
from segdemo.commands.inputs import create_folder, list_images
from segdemo.commands.shard_run import run_shards
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
    add_files(parser, inputs="*", output_required=False)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"registered name ({', '.join(registered_names('diffdis'))}), checkpoint folder, "
        "U-Net .safetensors file or Hub id (default: %(default)s)",
    )
    add_device(parser)
    add_autoencoder(parser)
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let PyTorch compile the network first: a minute for each size, worth it for many "
        "photos; needs a C++ compiler on a CPU",
    )
    parser.add_argument(
        "--threshold",
        type=fraction,
        metavar="T",
        help="write hard masks: 255 where the soft mask exceeds T in [0, 1] (default: soft masks)",
    )
    parser.add_argument(
        "--edges",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write <stem>_edge.png too; without, only the mask is decoded (default: with)",
    )
    add_settings(parser, DiffDISSettings)
    add_engine(parser)
    add_shards(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Cut the subject out of every image; returns the exit code."""
    output_dir: Path = arguments.output_dir
    try:
        chosen = given(arguments, DiffDISSettings)
        DiffDISSettings(**chosen)  # complains before anything is loaded
        settings = {
            "model": arguments.model,
            "files of the model": model_digest(arguments.model),
            "precision": precision_used(arguments.precision, arguments.device),
            "threshold": arguments.threshold,
            "edges": arguments.edges,
            "compile": arguments.compile,
            "autoencoder": arguments.autoencoder,
            "files of the autoencoder": model_digest(arguments.autoencoder),
            **chosen,
        }
        model = arguments.model, arguments.device, arguments.precision
        load_into = partial(
            partial,
            _load,
            model,
            arguments.autoencoder,
            arguments.compile,
            chosen,
            arguments.threshold,
            arguments.edges,
        )
        if check_shards(arguments):
            return run_shards("segment", settings, arguments, load_into)
        results = partial(SegmentationFiles.below, output_dir, edges=arguments.edges)
        image_files = list_images(arguments.inputs, output_dir, results)
        create_folder(output_dir)
        load, engine = load_into(output_dir), chosen_engine(arguments)
        return run_in_folder("segment", settings, image_files, output_dir, load, engine)
    except InputError as error:
        parser.error(str(error))


def _load(
    model: tuple[str, str, str],
    autoencoder: str,
    compiled: bool,
    chosen: Mapping[str, Any],
    threshold: float | None,
    edges: bool,
    output_dir: Path,
) -> Handler:
    """Load the model and bind its settings; raises InputError."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(*model, autoencoder=autoencoder, compiled=compiled)
    assistant.load()
    settings = replace(assistant.segment_defaults, **chosen)
    segment = partial(assistant.segment, settings=settings, edges=edges)
    return segmentation_handler(segment, output_dir, threshold)
