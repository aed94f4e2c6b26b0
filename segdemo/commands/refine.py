"""`refine`: masks of any method, split and merged along edges."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from segdemo.annotations import MaskFormat, mask_formats
from segdemo.annotations.class_list import ClassList
from segdemo.annotations.classes import CLASS_NAMES
from segdemo.annotations.file_names import check_distinct
from segdemo.annotations.notes import sentences
from segdemo.annotations.points import read_points
from segdemo.checkpoints.registry import DEFAULT_BACKBONE
from segdemo.commands.arguments import add_autoencoder, add_device
from segdemo.commands.engines import add_engine, chosen_engine
from segdemo.commands.mask_run import MaskRun
from segdemo.commands.output import check_output
from segdemo.commands.progress import DONE, SOME_FAILED
from segdemo.commands.refine_sources import BackboneEdges, ClassMaps, EdgeFiles, InstanceFiles
from segdemo.commands.refine_work import RefineWork
from segdemo.commands.resumable_run import ResumableRun
from segdemo.commands.rip_arguments import add_rip
from segdemo.commands.stored_run import part_folder
from segdemo.datatypes import InputError
from segdemo.files import ImageFile, find_images
from segdemo.images import image_size
from segdemo.regular_files import real_path
from segdemo.rip.settings import WalkSettings, from_pairs
from segdemo.terminal import printable


def add_refine(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "refine",
        help="split merged and join fragmented masks along edges",
        description="Repair the masks of a folder's photos along edges, by RIP or by region "
        "merging (see --preset), and write them all in one format. "
        "Masks may be COCO JSON, label images, NPZ, YOLO, LabelMe and more, or with --semantic "
        "class maps, and are matched to the photos by name. Edges are <stem>_edge.png or "
        "<stem>.png in --edges, else the backbone's. What cannot be read of the masks is left out "
        "and named, and the exit status is 1. Finished photos are kept in <output>.part until all "
        "are: a run that was stopped is resumed when the same command is given again.",
    )
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="INPUT")
    parser.add_argument("--masks", type=Path, required=True, metavar="DIR|FILE")
    parser.add_argument("--edges", type=Path, metavar="DIR", help="folder of edge maps")
    parser.add_argument("--output", type=Path, required=True, metavar="PATH", help="what to write")
    parser.add_argument(
        "--format",
        choices=mask_formats(),
        help="default: coco, with --semantic panoptic",
    )
    parser.add_argument(
        "--semantic",
        metavar="|".join([*CLASS_NAMES, "FILE"]),
        help="masks are PNGs of class numbers: those of a known set, or of a file with one class a "
        "line, `number: name`, or only names, numbered from 1 (from 0 if the first is background); "
        "0 is void, as is 255",
    )
    parser.add_argument(
        "--stuff",
        nargs="+",
        default=[],
        metavar="NAME",
        help="with --semantic: classes without instances, such as sky; `background` keeps 0 as one",
    )
    parser.add_argument(
        "--points",
        type=Path,
        metavar="FILE",
        help='a point on each object, seeds of the random walk: {"photo.jpg": [[x, y], ...], ...}',
    )
    add_rip(parser, default="careful, with --points robust")
    parser.set_defaults(preset=None)
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, metavar="NAME|FOLDER|HUB")
    add_device(parser)
    add_autoencoder(parser)
    add_engine(parser)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Refine every photo given; returns the exit code."""
    mask_format: MaskFormat = arguments.format or ("panoptic" if arguments.semantic else "coco")
    try:
        _check_apart(arguments.output, arguments.masks)
        check_output(arguments.output, mask_format)
        classes = _classes(arguments)
        image_files, work, run = _plan(arguments, classes)
        if not mask_format.startswith("coco"):
            check_distinct(image_file.name for image_file in image_files)
        notes = work.masks.notes
        for sentence in sentences(notes):
            print(printable(sentence), file=sys.stderr)
        status = MaskRun(image_files, work, run).execute(
            arguments.output, mask_format, chosen_engine(arguments), work.masks.stuff
        )
        left_out = any(note.left_out for note in notes)
        return status or (SOME_FAILED if left_out else DONE)
    except InputError as error:
        parser.error(str(error))


def _check_apart(output: Path, masks: Path) -> None:
    """Raise InputError if results would be taken for masks the next time."""
    if masks.is_dir() and real_path(output).is_relative_to(real_path(masks)):
        raise InputError(
            f"--output {output} lies in --masks: results would be taken for masks the next time; "
            "choose another path."
        )


def _classes(arguments: argparse.Namespace) -> ClassList | None:
    """Return the classes of the class maps, None for instance masks; raises InputError."""
    if arguments.semantic:
        return ClassList.of(arguments.semantic, arguments.stuff)
    if arguments.stuff:
        raise InputError("--stuff names classes of class maps: give --semantic as well.")
    return None


def _plan(
    arguments: argparse.Namespace, classes: ClassList | None
) -> tuple[list[ImageFile], RefineWork, ResumableRun]:
    """Find photos, masks, edges and what an earlier run left; raises InputError."""
    preset = arguments.preset or ("robust" if arguments.points else "careful")
    settings = from_pairs(preset, arguments.rip)
    if arguments.points and not isinstance(settings, WalkSettings):
        raise InputError(f"--points are seeds of the random walk: preset {preset} has none.")
    edges = (
        EdgeFiles(arguments.edges)
        if arguments.edges
        else BackboneEdges(
            arguments.backbone, arguments.device, arguments.precision, arguments.autoencoder
        )
    )
    folder = part_folder(arguments.output)
    image_files = find_images(arguments.images, folder)
    if not image_files:
        raise InputError(f"Nothing to do: no photos in {', '.join(map(str, arguments.images))}.")
    _check_names(image_files)
    sizes = {}
    for image_file in image_files:
        with suppress(InputError):  # reported with the others, when its turn comes
            sizes[image_file.name] = image_size(image_file.path, image_file.name)
    run = ResumableRun(
        folder,
        {
            **edges.settings,
            **asdict(settings),
            "semantic": arguments.semantic,
            "classes": classes and [f"{number}: {name}" for number, name in classes.names.items()],
            "stuff": classes and classes.stuff,
        },
    )
    masks = (
        ClassMaps(arguments.masks, sizes, classes)
        if classes
        else InstanceFiles(arguments.masks, sizes)
    )
    points = read_points(arguments.points, sizes) if arguments.points else None
    return image_files, RefineWork(masks, edges, settings, points), run


def _check_names(image_files: Sequence[ImageFile]) -> None:
    """Raise InputError if two photos have the same name, by which masks are found."""
    taken: dict[str, Path] = {}
    for image_file in image_files:
        if image_file.name in taken:
            raise InputError(
                f"{taken[image_file.name]} and {image_file.path} have the same name, and masks are "
                "matched to photos by name: give the folder that holds both, or rename one."
            )
        taken[image_file.name] = image_file.path
