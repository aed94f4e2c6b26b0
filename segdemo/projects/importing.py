"""Masks taken into a project: any format, matched to its images by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segdemo.annotations import ClassList, InstanceRuns, read_masks
from segdemo.datatypes import InputError
from segdemo.projects.layout import LazySizes
from segdemo.projects.project import Project
from segdemo.rip.semantic import split_into_regions


@dataclass(frozen=True)
class Imported:
    """images: how many got masks. kept: how many had some already. said: what was left out."""

    images: int
    kept: int
    said: list[str]


def import_masks(
    project: Project,
    path: Path,
    who: str,
    replace: bool = False,
    classes: ClassList | None = None,
) -> Imported:
    """Give a project's images the masks of a file, archive or folder, and save them.

    Images that have instances already, or masks beside them, keep those unless `replace` is set.
    who: whom the project notes it for. classes: masks are class maps with these; each connected
    region of a thing class is an instance. Raises InputError where nothing can be read.
    """
    records = {record.name: record for record in project.board.all()}
    try:
        read = read_masks(path, LazySizes(project.root, list(records)), classes)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the path.") from error
    said, taken, kept = read.sentences(), 0, 0
    for name, runs in read.runs.items():
        record = records[name]
        holder = project.leases.holder(record.id)
        if holder is not None:
            said.append(f"{name} was left out: {holder.who} has it open.")
            continue
        if record.count and not replace:
            kept += 1
            continue
        own = runs
        try:
            if classes is not None:
                own = InstanceRuns.of(split_into_regions(runs.decoded(), read.stuff))
            losses = project.set_masks(record, own, who)
        except InputError as error:
            said.append(f"{name} was left out: {error}")
            continue
        taken += 1
        said += [f"{name}: {sentence}" for sentence in losses]
    if read.stuff:
        names = project.classes.known.names
        project.classes.name({}, [number for number, name in names.items() if name in read.stuff])
    if not taken and not kept:
        said.append(f"{path} has no masks for these images: names must agree.")
    return Imported(taken, kept, said)
