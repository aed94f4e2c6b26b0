"""`prompt`: the masks of objects whose boxes are known."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from segdemo.checkpoints.registry import DEFAULT_PROMPTER
from segdemo.commands.arguments import add_device
from segdemo.commands.box_file import BoxFile
from segdemo.commands.digests import model_digest
from segdemo.commands.engines import add_engine, chosen_engine
from segdemo.commands.output import check_output
from segdemo.commands.progress import SOME_FAILED
from segdemo.commands.prompt_work import PromptWork, stored_answers
from segdemo.commands.resumable_run import ResumableRun
from segdemo.commands.stored_run import StoredRun, part_folder
from segdemo.datatypes import InputError
from segdemo.files import ImageFile, write_json
from segdemo.terminal import printable


def add_prompt(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "prompt",
        help="masks of objects whose boxes are known",
        description="Write COCO's JSON once more, with the mask of every annotation that has a "
        "bbox and no segmentation. All else stays as it is. Finished photos are kept in "
        "<output>.part until all are: the same command resumes a run that was stopped, or in which "
        "photos failed.",
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
    add_engine(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        folder = part_folder(arguments.output)
        boxes = BoxFile.read(arguments.boxes, arguments.images, arguments.replace)
        run = ResumableRun(
            folder,
            {
                "hash of the boxes": boxes.digest,
                "replace": arguments.replace,
                "prompter": arguments.prompter,
                "files of the prompter": model_digest(arguments.prompter),
                "precision": arguments.precision,
            },
        )
        if run.store.is_empty:  # else the output may hold what that run has finished
            check_output(arguments.output, "coco")
        work = PromptWork(boxes.boxes, arguments.prompter, arguments.device, arguments.precision)
        problems = list(boxes.problems)

        def write(image_files: Sequence[ImageFile]) -> None:
            answers, unanswered = stored_answers(run.store, image_files)
            problems.extend(unanswered)
            write_json(boxes.filled(answers), arguments.output)
            if len(image_files) == len(boxes.image_files):
                run.discard()

        status = StoredRun(boxes.image_files, work, run).execute(
            arguments.output, chosen_engine(arguments), write
        )
        for sentence in problems:
            print(printable(sentence))
        return status or (SOME_FAILED if problems else 0)
    except InputError as error:
        parser.error(str(error))
