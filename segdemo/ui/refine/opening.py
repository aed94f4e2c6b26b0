"""Opening photos with masks and edges: everything is matched by name, every misfit is told."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from segdemo.annotations import ClassList, InstanceRuns, Instances, MasksRead, read_masks
from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.edge_files import read_edge_map
from segdemo.editing.sessions import Session
from segdemo.files import ImageFile
from segdemo.images import load_rgb
from segdemo.rip.semantic import split_into_regions
from segdemo.ui.kept_files import new_folder
from segdemo.ui.uploads import Upload, collect, upload_name

PHOTO, VIEW, THUMBNAIL = "photo", "view.jpg", "thumbnail.jpg"
THUMBNAIL_SIDE = 96  # pixels
LONGEST_SIDE = 65_500  # pixels; what a JPEG can have

Size = tuple[int, int]
"""(height, width)"""


def open_files(
    session: Session,
    photos: Sequence[Upload],
    masks: Sequence[Upload],
    edges: Sequence[Upload],
    classes: ClassList | None = None,
) -> list[str]:
    """Add photos with their masks and edges to a session; returns what to tell, a line each.

    classes: masks are class maps with these, each connected region of a thing class an instance.
    What cannot be used is a line and the rest is opened. Raises InputError where nothing is.
    """
    pictures, notes = collect(list(photos), new_folder())
    lines = [": ".join(part for part in (row[0], row[2]) if part) for row in notes]
    files: dict[str, dict[str, Path]] = {}
    sizes: dict[str, Size] = {}
    for picture in pictures:
        try:
            image = load_rgb(picture.path, picture.name, lines.append)
            files[picture.name] = {PHOTO: picture.path, **photo_views(image, picture.name)}
        except InputError as error:
            lines.append(str(error))
            continue
        sizes[picture.name] = (image.shape[0], image.shape[1])
    readable = [picture for picture in pictures if picture.name in sizes]
    masks_read, stuff = _masks_of(masks, sizes, lines, classes)
    found: dict[str, Instances] = {**masks_read}
    opened = 0
    for picture in readable:
        own = found.get(picture.name, _none(sizes[picture.name]))
        try:
            losses = session.add(picture.name, own, files[picture.name], stuff)
        except InputError as error:
            lines.append(str(error))
            continue
        opened += 1
        lines += [f"{picture.name}: {sentence}" for sentence in losses]
        if masks and picture.name not in found:
            lines.append(f"{picture.name} has no masks in the files given.")
    _add_edges(session, edges, readable, lines)
    if not opened:
        raise InputError(" ".join(lines) or "There is no photo yet: add some.")
    return lines


def add_masks(
    session: Session, masks: Sequence[Upload], classes: ClassList | None = None
) -> tuple[int, list[str]]:
    """Add masks to the images that are open, matched by name; one undo step each.

    classes: see `open_files`. Returns the first image that got some, and what to tell. Raises
    InputError where none did.
    """
    if not len(session):
        raise InputError("There is no photo yet: add photos first, then press Open.")
    sizes: dict[str, Size] = {}
    lines: list[str] = []
    for index in session.indices:
        try:
            sizes[session.names[index]] = session.image(index).size
        except InputError as error:
            lines.append(f"{session.names[index]}: {error}")
    first = -1
    found, stuff = _masks_of(masks, sizes, lines, classes)
    for name, own in found.items():
        index = session.names.index(name)
        try:
            losses = session.add_masks(index, own, stuff)
        except InputError as error:
            lines.append(str(error))
            continue
        first = index if first < 0 else first
        lines += [f"{name}: masks added.", *(f"{name}: {sentence}" for sentence in losses)]
    if first < 0:
        raise InputError(" ".join(lines))
    return first, lines


def add_photo(session: Session, photo: Path, name: str) -> int:
    """Add a photo without masks, unless it is open; returns its index.

    Another photo of the same name gets a number. Raises InputError for what is no picture.
    """
    wanted, number = name, 1
    while wanted in session.names:
        index = session.names.index(wanted)
        if filecmp.cmp(photo, session.file(index, PHOTO), shallow=False):
            return index
        number += 1
        wanted = f"{Path(name).stem} ({number}){Path(name).suffix}"
    image = load_rgb(photo, name)
    session.add(wanted, _none(image.shape[:2]), {PHOTO: photo, **photo_views(image, name)})
    return len(session.names) - 1


def read_masks_of_one(
    upload: Upload, photo: str, size: Size, classes: ClassList | None = None
) -> tuple[InstanceMasks, MasksRead]:
    """Read the masks of one photo, whatever their file is called; raises InputError.

    classes: see `open_files`. Returns also all that was read, with its notes and stuff.
    """
    name = upload_name(upload)
    masks = _read(upload, name, {photo: size}, classes)
    if photo not in masks:
        raise InputError(f"{name} has no masks for {photo}: names must agree.")
    return masks[photo], masks


def _masks_of(
    uploads: Sequence[Upload],
    sizes: dict[str, Size],
    lines: list[str],
    classes: ClassList | None,
) -> tuple[dict[str, InstanceRuns], frozenset[str]]:
    """Return masks by photo, and the names of classes without instances."""
    found: dict[str, InstanceRuns] = {}
    stuff: frozenset[str] = frozenset()
    for upload in uploads:
        name = upload_name(upload)
        try:
            masks = _read(upload, name, sizes, classes)
        except InputError as error:
            lines.append(str(error))
            continue
        lines += masks.sentences()
        stuff |= masks.stuff
        if not masks:
            lines.append(f"{name} has no masks for these photos: names must agree.")
        for key, own in masks.runs.items():
            if key in found:
                lines.append(f"{name} has masks for {key}, which has some already: left out.")
            found.setdefault(key, own)
    return found, stuff


def _read(
    upload: Upload, name: str, sizes: dict[str, Size], classes: ClassList | None
) -> MasksRead:
    """Read one file of masks; with a single photo its name does not matter."""
    masks = _read_named(upload, name, sizes, classes)
    if classes is None:
        return masks
    regions = {
        key: InstanceRuns.of(split_into_regions(own, masks.stuff)) for key, own in masks.items()
    }
    return replace(masks, runs=regions)


def _read_named(
    upload: Upload, name: str, sizes: dict[str, Size], classes: ClassList | None
) -> MasksRead:
    path = Path(upload["path"])
    masks = read_masks(path, sizes, classes, name)
    if masks or len(sizes) != 1:
        return masks
    ((photo, size),) = sizes.items()
    anywhere = read_masks(path, None, classes, name)
    if len(anywhere) != 1:
        return masks
    (unnamed,) = anywhere.runs.values()
    if unnamed.size != size:
        height, width = unnamed.size
        raise InputError(
            f"{name} is {width} x {height}, {photo} {size[1]} x {size[0]}: export the masks at the "
            "photo's size."
        )
    return replace(anywhere, runs={photo: unnamed})


def _add_edges(
    session: Session, uploads: Sequence[Upload], pictures: list[ImageFile], lines: list[str]
) -> None:
    # of two with one stem, the first
    stems = {str(Path(one.name).with_suffix("")): one.name for one in reversed(pictures)}
    for upload in uploads:
        name = upload_name(upload)
        stem = Path(name).stem
        photo = stems.get(stem.removesuffix("_edge")) or stems.get(stem)
        if photo is None and len(stems) == len(uploads) == 1:
            (photo,) = stems.values()
        try:
            if photo is None or photo not in session.names:
                raise InputError(f"{name} belongs to no photo here: call it <photo>_edge.png.")
            picture = session.image(session.names.index(photo))
            edge = read_edge_map(Path(upload["path"]), picture.size, name)
            picture.set_edges(edge.probability, "upload", name)
        except InputError as error:
            lines.append(str(error))


def photo_views(image: RGBImage, name: str) -> dict[str, Path]:
    """Write what the page shows of a photo: all of it, and a thumbnail; raises InputError."""
    if max(image.shape) > LONGEST_SIDE:
        raise InputError(f"{name} is longer than {LONGEST_SIDE} pixels: cut it into parts.")
    folder = new_folder()
    picture = Image.fromarray(image)
    picture.save(folder / VIEW, quality=92)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    picture.save(folder / THUMBNAIL, quality=85)
    return {name: folder / name for name in (VIEW, THUMBNAIL)}


def _none(size: Size) -> InstanceMasks:
    return InstanceMasks.unscored(np.zeros((0, *size), np.bool_))
