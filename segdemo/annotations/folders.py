"""Folders and zip archives of annotation files, among them images of one mask each."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from segdemo.annotations.class_list import ClassList
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.label_images import (
    add_label_image,
    add_single_masks,
    read_instance_ids,
)
from segdemo.annotations.notes import ReadingNotes
from segdemo.datatypes import InputError
from segdemo.files import ZIP_ERRORS, unpack_zip
from segdemo.plugins import plugins

LABEL_SUFFIXES = frozenset((".png", ".tif", ".tiff", ".bmp", ".gif"))
OTHERS = frozenset((".json", ".txt", ".npz", ".npy"))
LISTS = frozenset((".yaml", ".yml", ".names"))  # of classes
MAX_FILES = 20_000  # of one archive: a thousand images with twenty masks each
_NUMBERED = re.compile(r"(?:(?P<image>.+?)[_.-])??(?:mask|instance|object|obj|inst|seg)?[_-]?\d+")


def unpack(archive: Path, file: str, folder: Path, notes: ReadingNotes) -> None:
    """Unpack the annotation files of a zip into a folder.

    Hidden files and other suffixes are skipped, damaged entries and links are left out and noted.
    Raises InputError for names that lead out of the folder, and for archives that are too large,
    see `files.unpack_zip`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [entry.filename for entry in opened.infolist()]
    except ZIP_ERRORS as error:
        raise InputError(
            f"{file} is not a zip archive that can be opened: pack it again."
        ) from error
    for name in names:
        path = PureWindowsPath(name)
        if path.anchor or ".." in path.parts:
            raise InputError(f"{file} holds {name}, which leads out of the archive: pack it again.")
    known = LABEL_SUFFIXES | OTHERS | LISTS | plugin_suffixes()
    wanted = tuple(name for name in names if PureWindowsPath(name).suffix.lower() in known)
    if not wanted:
        raise InputError(f"{file} holds no masks: put PNG, JSON, TXT, NPZ or NPY files into it.")
    skipped: list[str] = []
    unpack_zip(archive, folder, skipped.append, known, MAX_FILES)
    for sentence in skipped:
        if sentence.startswith(wanted):
            entry, _, reason = sentence.partition(" was left out: ")
            notes.leave_out(file, entry, reason or sentence)


def plugin_suffixes() -> frozenset[str]:
    """Return the endings of files that plugins read."""
    return frozenset(kind.suffix for kind in plugins().mask_formats.values() if kind.read)


def annotation_files(folder: Path) -> list[Path]:
    """List a folder's annotation files, sorted, recursively; hidden ones are skipped."""
    known = LABEL_SUFFIXES | OTHERS | plugin_suffixes()
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in known
        and path.is_file()
        and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    )


def read_label_images(
    images: Iterable[Path],
    folder: Path,
    file: str,
    collector: MaskCollector,
    classes: ClassList | None,
) -> None:
    """Read label images: one per image, or several that hold one mask each.

    One with a wanted image's name holds its ids. Of the others, those of one folder are
    masks of one image if all show two values at most, and either have numbers behind the
    image's name (`cat_mask_0.png`, or `cat_0.png` where the image cat is wanted), or lie in a
    folder of a wanted image's name, or are called by numbers alone (`0.png`, `mask_0.png`) and
    their folder or archive like the image.
    """
    by_folder: dict[Path, list[Path]] = {}
    for path in images:
        name = path.relative_to(folder).as_posix()
        with collector.notes.guarding(path.name):
            wanted = collector.names is not None and collector.key(name, file) is not None
            if classes is not None or wanted:
                add_label_image(path, _stem_below(path, folder), collector, path.name, classes)
            else:
                by_folder.setdefault(path.parent, []).append(path)
    for place, paths in by_folder.items():
        _read_folder(place, paths, folder, file, collector)


def _read_folder(
    place: Path, paths: list[Path], folder: Path, file: str, collector: MaskCollector
) -> None:
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(_owner(path, place, folder, file, collector), []).append(path)
    for owner, members in groups.items():
        with collector.notes.guarding(file, owner):
            key = collector.key(owner, file)
            if key is not None:
                _read_group(key, owner, members, folder, file, collector)


def _read_group(
    key: str, owner: str, members: list[Path], folder: Path, file: str, collector: MaskCollector
) -> None:
    """Read images that belong together, or each by its own name."""
    if len(members) == 1 and owner == _stem_below(members[0], folder):
        add_label_image(members[0], owner, collector, members[0].name, None)
        return
    maps: dict[Path, InstanceRuns] = {}
    for path in members:
        with collector.notes.guarding(path.name):
            found = read_instance_ids(path, path.name, collector)
            if len(found) > 1:
                raise InputError("it has several pages, where its neighbours are masks of an image")
            maps[path] = InstanceRuns.from_label_map(found[0])
    apart = [owner != _stem_below(path, folder) for path in maps]
    if any(apart) and all(len(one) <= 1 for one in maps.values()):
        ordered = sorted(maps, key=lambda path: [int(n) for n in re.findall(r"\d+", path.stem)])
        add_single_masks(key, {path.name: maps[path] for path in ordered}, collector, file)
        return
    for path, one in maps.items():
        own = collector.key(_stem_below(path, folder), file)
        if own is not None or len(members) == 1:
            with collector.notes.guarding(path.name):
                collector.make_room(own or key, one.size, len(one), path.name)
                collector.add(own or key, one, path.name)


def _owner(path: Path, place: Path, folder: Path, file: str, collector: MaskCollector) -> str:
    """Say which image a mask file may belong to."""
    numbered = _NUMBERED.fullmatch(path.stem)
    below = place.relative_to(folder)
    if numbered and (image := numbered["image"]):
        named = "mask" in path.stem or "inst" in path.stem or "obj" in path.stem
        name = (below / image).as_posix()
        if named or (collector.names is not None and collector.key(name, file) is not None):
            return name
    if place != folder and collector.names is not None and collector.key(str(below), file):
        return below.as_posix()
    if numbered and not numbered["image"]:
        return Path(file).stem if place == folder else below.as_posix()
    return _stem_below(path, folder)


def _stem_below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
