"""`prompt`: the masks of objects whose boxes are known."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from segdemo.checkpoints.registry import DEFAULT_PROMPTER
from segdemo.commands.arguments import add_device
from segdemo.commands.box_file import BoxFile, StoredAnswers
from segdemo.commands.output import check_output
from segdemo.commands.progress import SOME_FAILED, report_progress
from segdemo.datatypes import InputError
from segdemo.files import write_json
from segdemo.terminal import printable


def add_prompt(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "prompt",
        help="masks of objects whose boxes are known",
        description="Write COCO's JSON once more, with the mask of every annotation that has a "
        "bbox and no segmentation. All else stays as it is. The same command resumes a run that "
        "was stopped.",
    )
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, metavar="INPUT", help="photo or folder"
    )
    parser.add_argument(
        "--boxes", type=Path, required=True, metavar="JSON", help="COCO's, annotations with bbox"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="JSON", help="what to write")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="make masks of annotations that have a segmentation too, and replace it",
    )
    parser.add_argument(
        "--prompter",
        default=DEFAULT_PROMPTER,
        metavar="NAME|FOLDER|HUB",
        help="the embedded one, or a SAM, SAM 2 or EdgeTAM, such as facebook/sam-vit-base "
        "(default: %(default)s)",
    )
    add_device(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        if not StoredAnswers.exist(arguments.output):
            check_output(arguments.output, "coco")
        boxes = BoxFile.read(arguments.boxes, arguments.images, arguments.replace)
        from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

        assistant = AnnotationAssistant(
            device=arguments.device, precision=arguments.precision, prompter=arguments.prompter
        )
        assistant.load_prompter()
        settings = [arguments.prompter, arguments.precision, arguments.replace]
        with StoredAnswers(arguments.output, boxes.digest, settings) as stored:
            statuses = boxes.answer(assistant.prompt, stored)
            status = report_progress(statuses, len(boxes.image_files), arguments.output)
            try:
                write_json(boxes.filled(stored), arguments.output)
            except OSError as error:
                raise InputError(
                    f"--output {arguments.output} cannot be written ({error.strerror}); the same "
                    "command goes on from here."
                ) from error
            stored.done = not status
        for sentence in boxes.problems:
            print(printable(sentence))
        return status or (SOME_FAILED if boxes.problems else 0)
    except InputError as error:
        parser.error(str(error))
