"""`project`: what a project's folder holds, its masks taken out, and masks taken in."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from segdemo.annotations import mask_formats
from segdemo.annotations.class_list import ClassList
from segdemo.annotations.classes import CLASS_NAMES
from segdemo.commands.arguments import fraction
from segdemo.commands.progress import DONE, SOME_FAILED
from segdemo.datatypes import InputError
from segdemo.projects.board import STATES
from segdemo.projects.export import export
from segdemo.projects.importing import import_masks
from segdemo.projects.project import Project
from segdemo.projects.results import ENDINGS
from segdemo.terminal import printable


def add_project(verbs: Any) -> None:
    """Add the verb, its actions and their flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "project",
        help="a folder of images that annotators work on",
        description="A project is a folder of images. Masks beside them are taken in, results are "
        "saved in its folder `annotations`; `python app.py DIR` opens it in the browser.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the project's folder")
    parser.add_argument(
        "--results",
        choices=tuple(ENDINGS),
        default=None,
        help="form of the results beside the images: label PNG with classes.json, or LabelMe's "
        "JSON (default: that of the last time, at first labels)",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_status(actions)
    _add_export(actions)
    _add_import(actions)


def _add_status(actions: Any) -> None:
    parser = actions.add_parser("status", help="how far it is: states, annotators, what waits")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=partial(_run, parser, _status))


def _add_export(actions: Any) -> None:
    parser = actions.add_parser("export", help="write its masks in one format, split if wanted")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to write, a new one")
    parser.add_argument(
        "--format", choices=mask_formats(), default="coco", help="default: %(default)s"
    )
    parser.add_argument(
        "--states",
        nargs="+",
        choices=STATES,
        default=["checked"],
        help="which images (default: checked)",
    )
    parser.add_argument("--all", action="store_true", help="images in every state")
    parser.add_argument(
        "--val", type=fraction, default=0.0, metavar="SHARE", help="for validation, such as 0.2"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    parser.add_argument(
        "--with_images", action="store_true", help="copy the images as well, to OUT/images"
    )
    parser.set_defaults(run=partial(_run, parser, _export))


def _add_import(actions: Any) -> None:
    parser = actions.add_parser("import", help="take masks of any format in")
    parser.add_argument("masks", type=Path, metavar="MASKS", help="file, zip or folder")
    parser.add_argument(
        "--replace", action="store_true", help="also for images that have masks already"
    )
    parser.add_argument(
        "--semantic",
        metavar="|".join([*CLASS_NAMES, "FILE"]),
        help="masks are class maps with these classes, see `refine`",
    )
    parser.add_argument("--stuff", nargs="+", default=[], metavar="NAME")
    parser.set_defaults(run=partial(_run, parser, _import))


def _run(parser: argparse.ArgumentParser, act: Any, arguments: argparse.Namespace) -> int:
    try:
        project = Project(arguments.folder, arguments.results)
        try:
            return int(act(project, arguments))
        finally:
            project.close()
    except InputError as error:
        parser.error(str(error))


def _status(project: Project, arguments: argparse.Namespace) -> int:
    counts = project.board.counts()
    leases = [
        {"image": project.board.get(lease.image).name, "who": lease.who}
        for lease in project.leases.all()
    ]
    rejected = {record.name: record.note for record in project.board.all(["rejected"])}
    events = [dict(row) for row in project.board.events(most=10)]
    if arguments.json:
        content = {
            "images": sum(counts.values()),
            "states": counts,
            "open": leases,
            "rejected": rejected,
            "annotators": project.annotators.names(),
            "notes": project.notes,
            "last": events,
        }
        print(json.dumps(content, indent=1))
        return DONE
    total = sum(counts.values())
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    lines = [f"{project.name}: {total} images: {listed}"]
    lines += [f"open: {lease['image']} ({lease['who']})" for lease in leases]
    lines += [f"sent back: {name}: {note}" for name, note in rejected.items()]
    for event in events:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(event["at"]))
        lines.append(" ".join(filter(None, (when, event["who"], event["what"], event["image"]))))
    _print([*lines, *project.notes])
    return DONE


def _export(project: Project, arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.val < 1:
        raise InputError("--val must be below 1: training needs images too.")
    states = STATES if arguments.all else arguments.states
    try:
        done = export(
            project,
            arguments.output,
            arguments.format,
            states,
            arguments.val,
            arguments.seed,
            arguments.with_images,
        )
    except OSError as error:
        raise InputError(f"{arguments.output} cannot be written ({error.strerror}).") from error
    listed = ", ".join(f"{part} {count}" for part, count in done.parts.items())
    _print([f"{sum(done.parts.values())} images in {arguments.output}: {listed}", *done.said])
    return SOME_FAILED if any("was left out" in sentence for sentence in done.said) else DONE


def _import(project: Project, arguments: argparse.Namespace) -> int:
    if arguments.stuff and not arguments.semantic:
        raise InputError("--stuff names classes of class maps: give --semantic as well.")
    classes = ClassList.of(arguments.semantic, arguments.stuff) if arguments.semantic else None
    try:
        done = import_masks(project, arguments.masks, _user(), arguments.replace, classes)
    except OSError as error:
        raise InputError(f"{project.root} cannot be written ({error.strerror}).") from error
    kept = f", {done.kept} had masks already and keep them (--replace)" if done.kept else ""
    _print([f"{done.images} images got masks{kept}."])
    _print(done.said, sys.stderr)
    return SOME_FAILED if done.said else DONE


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "import"


def _print(lines: Sequence[str], stream: Any = None) -> None:
    for line in lines:
        print(printable(line), file=stream or sys.stdout)
