"""`edges`: how likely each pixel is an edge between instances, as a grey-scale image."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdemo.batch import Handler
from segdemo.commands.trace_arguments import add_trace_flags, run_on_images
from segdemo.datatypes import RGBImage
from segdemo.diffegg.settings import TraceSettings
from segdemo.files import ImageFile, write_png
from segdemo.images import to_grey

if TYPE_CHECKING:
    from segdemo.assistant import AnnotationAssistant


def add_edges(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "edges",
        help="edges between instances, by a diffusion model",
        description="Write <stem>_edge.png (8-bit grey, the photo's size) for every photo: from "
        "the edge generator where the backbone has one, else from EdgeKL, as the output says; "
        "middle grey is EdgeKL's upper threshold. Photos that an earlier run in the same folder "
        "has finished with the same settings are not done again; a folder's photos keep their "
        "sub-folders.",
    )
    add_trace_flags(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    def results(stem: str) -> tuple[Path]:
        return (_edge_file(arguments.output_dir, stem),)

    return run_on_images("edges", parser, arguments, results, _edge_finder)


def _edge_finder(
    assistant: AnnotationAssistant, settings: TraceSettings, rule: str, output_dir: Path
) -> Handler:
    origin = assistant.edge_source.label

    def handle(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
        edge = assistant.edges(image, settings, rule)
        file = _edge_file(output_dir, image_file.stem)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_png(to_grey(edge.probability), file)
        return (file,), f"{image.shape[1]} x {image.shape[0]}, from {origin}"

    return handle


def _edge_file(output_dir: Path, stem: str) -> Path:
    return output_dir / f"{stem}_edge.png"
