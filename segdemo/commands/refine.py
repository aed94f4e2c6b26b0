"""`refine`: instance masks of any method, split and merged along edges."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from segdemo.annotations import MaskFormat, read_masks, write_masks
from segdemo.batch import PictureFile, find_images, work_through
from segdemo.commands.arguments import add_device, add_setting, fraction, given
from segdemo.commands.walk import follow
from segdemo.datatypes import FloatMap, InputError, InstanceMasks, RGBImage
from segdemo.images import load_rgb
from segdemo.rip.instances import Repair, refine_instances
from segdemo.rip.refine import PRESETS, RIPSettings

EdgeFinder = Callable[[PictureFile, RGBImage], FloatMap]


def add_refine(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "refine",
        help="split merged and join fragmented instance masks along edges",
        description="Repair the masks of a folder's photos (RIP) and write them all in one format. "
        "Masks may be COCO JSON, label pictures, NPZ, YOLO, LabelMe and more, and are matched to "
        "the photos by name. Edges are <stem>_edge.png in --edges, else the backbone's.",
    )
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="INPUT")
    parser.add_argument("--masks", type=Path, required=True, metavar="DIR|FILE")
    parser.add_argument("--edges", type=Path, metavar="DIR", help="folder of edge maps")
    parser.add_argument("--output", type=Path, required=True, metavar="PATH", help="what to write")
    parser.add_argument(
        "--format", choices=get_args(MaskFormat), default="coco", help="default: %(default)s"
    )
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default="robust",
        help="robust: for predicted edges, which have gaps; paper: for closed edges (default: "
        "%(default)s)",
    )
    parser.add_argument("--backbone", default="small", metavar="NAME|FOLDER|HUB")
    add_device(parser)
    for name in ("grid", "steps", "opening", "fill"):
        add_setting(parser, RIPSettings, name, type=int, metavar="N")
    for name in ("cut", "binarise", "merge_iou", "least_cover"):
        add_setting(parser, RIPSettings, name, type=fraction, metavar="SHARE")
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        settings = replace(PRESETS[arguments.preset], **given(arguments, RIPSettings))
        if arguments.output.exists():
            raise InputError(f"--output {arguments.output} exists already: choose another path.")
        pictures = find_images(arguments.images)
        sizes = {}
        for picture in pictures:
            with suppress(InputError):  # reported with the others, when its turn comes
                image = load_rgb(picture.path, picture.name)
                sizes[picture.name] = (image.shape[0], image.shape[1])
        masks = read_masks(arguments.masks, sizes)
        if not masks:
            raise InputError(f"{arguments.masks} holds no masks of these photos: check the names.")
        edges_of = _edge_reader(arguments.edges) if arguments.edges else _edge_finder(arguments)
        done: dict[str, InstanceMasks] = {}

        def handle(picture: PictureFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            edge = edges_of(picture, image)
            done[picture.name], repair = refine_instances(masks[picture.name], edge, settings)
            return (), _words(len(masks[picture.name]), repair)

        wanted = [p for p in pictures if p.name in masks or p.name not in sizes]
        status = follow(work_through(wanted, handle), len(wanted), arguments.output)
        images = None
        if arguments.format == "cutouts":  # the others need no pixels
            images = {p.name: load_rgb(p.path, p.name) for p in wanted if p.name in done}
        for sentence in write_masks(done, arguments.output, arguments.format, images):
            print(sentence)
        return status
    except InputError as error:
        parser.error(str(error))


def _words(before: int, repair: Repair) -> str:
    return (
        f"{before} masks, {repair.split} split, {repair.joined} joined, {repair.dropped} dropped: "
        f"{repair.instances} instances"
    )


def _edge_reader(folder: Path) -> EdgeFinder:
    if not folder.is_dir():
        raise InputError(f"--edges {folder} is no folder.")

    def read(picture: PictureFile, image: RGBImage) -> FloatMap:
        file = folder / f"{picture.stem}_edge.png"
        if not file.exists():
            raise InputError(f"{picture.name} has no edge map {file}.")
        grey = load_rgb(file).mean(2, dtype=np.float32) / 255
        if grey.shape != image.shape[:2]:
            raise InputError(
                f"{file} is {grey.shape[1]} x {grey.shape[0]}, its photo {image.shape[1]} x "
                f"{image.shape[0]}: give edge maps of the photos' sizes."
            )
        return grey.clip(0, 1)

    return read


def _edge_finder(arguments: argparse.Namespace) -> EdgeFinder:
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(
        device=arguments.device, precision=arguments.precision, backbone=arguments.backbone
    )
    assistant.load_backbone()
    return lambda picture, image: assistant.edges(image).probability
