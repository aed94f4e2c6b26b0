"""`trace`: the attention of a diffusion model at each timestep, as files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdemo.batch import Handler
from segdemo.commands.arguments import given
from segdemo.commands.inputs import create_folder
from segdemo.commands.progress import DONE
from segdemo.commands.trace_arguments import add_trace_flags, open_assistant, run_on_images
from segdemo.datatypes import AttentionTrace, InputError, PseudoEdge, RGBImage
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.diffegg.settings import TraceSettings
from segdemo.files import ImageFile, write_png
from segdemo.terminal import printable

if TYPE_CHECKING:
    from segdemo.assistant import AnnotationAssistant

LONGEST_NAME = 80  # characters of a prompt in the name of its folder


def add_trace(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "trace",
        help="look inside a diffusion model: attention per timestep, PeakKL, EdgeKL",
        description="Write a folder OUT/<stem>/ for every photo: kl_curve.csv and kl_curve.png, "
        "pca_<timestep>.png, edge_score.png and pseudo_edge.png of the timestep that PeakKL or "
        "--fixed_timestep chooses, and trace.npz with all numbers. Photos that an earlier run in "
        "the same folder has finished with the same settings are not done again; a folder's photos "
        "keep their sub-folders.",
    )
    parser.add_argument(
        "--generate",
        metavar="PROMPT",
        help="in place of photos: generate an image of this from noise along the timesteps, "
        "without guidance, and trace it on the way, to OUT/<words of the prompt>/ with "
        "generated.png",
    )
    add_trace_flags(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from segdemo.trace_files import TraceFiles  # half a second: it brings matplotlib

    photos = arguments.inputs or arguments.shards
    if (arguments.generate is None) == (not photos):
        parser.error("give photos or --generate PROMPT, one of both.")
    if arguments.generate is not None:
        if arguments.output_dir is None:
            parser.error("--generate needs --output_dir.")
        return _generate(parser, arguments)

    def results(stem: str) -> TraceFiles:
        timesteps = getattr(arguments, "timesteps", TraceSettings.timesteps)
        return TraceFiles.below(arguments.output_dir / stem, timesteps)

    return run_on_images("trace", parser, arguments, results, _tracer)


def _generate(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Generate one image and write its trace; an existing one is replaced."""
    from segdemo.trace_files import write_trace

    words = re.sub(r"\W+", "-", arguments.generate.lower()).strip("-")[:LONGEST_NAME]
    try:
        chosen = given(arguments, TraceSettings)
        TraceSettings(**chosen)  # complains before anything is loaded
        folder = arguments.output_dir / (words or "no-prompt")
        create_folder(folder)
        model = arguments.device, arguments.precision, arguments.backbone, arguments.autoencoder
        assistant, settings = open_assistant(model, chosen)
        assistant.load_backbone()
        trace, image = assistant.generate(arguments.generate, settings)
    except InputError as error:
        parser.error(str(error))
    edge = pseudo_edge(trace.chosen.edge_score, arguments.rule)
    write_trace(trace, edge, settings, folder)
    write_png(image, folder / "generated.png")
    print(f"{_describe(trace, edge)}; results in {printable(str(folder))}")
    if not assistant.understands_prompts:
        print(
            f"{printable(arguments.backbone)} has no text encoder: its prompt is constant, and the "
            "words had no effect."
        )
    return DONE


def _tracer(
    assistant: AnnotationAssistant, settings: TraceSettings, rule: str, output_dir: Path
) -> Handler:
    from segdemo.trace_files import write_trace

    def handle(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
        *_, trace = assistant.trace(image, settings)
        edge = pseudo_edge(trace.chosen.edge_score, rule)
        files = write_trace(trace, edge, settings, output_dir / image_file.stem)
        return files, _describe(trace, edge)

    return handle


def _describe(trace: AttentionTrace, edge: PseudoEdge) -> str:
    """Say what PeakKL chose, which step's edges were taken, and which rule split their score."""
    chosen = f"PeakKL keeps timestep {trace.curve.peak_timestep}"
    if len(trace.curve.timesteps) == 1:
        chosen = "one step, no curve"
    elif trace.curve.no_peak:
        chosen = "no gap is above zero"
    fallback = " (the paper's left too little interior)" if edge.used_fallback else ""
    return f"{chosen}, edges at {trace.chosen.timestep} by rule {edge.rule}{fallback}"
