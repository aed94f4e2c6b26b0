"""Uploads of many photos: laid into a folder under their own names, zips unpacked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.files import ImageFile, find_images, unpack_zip
from segdemo.ui.results import Upload, file_name, upload_name

FAILED, SKIPPED = "failed", "passed over"

Rows = list[list[str]]
"""File, status, details."""


def collect(files: list[Upload], inbox: Path) -> tuple[list[ImageFile], Rows]:
    """Lay uploads into a folder, zips unpacked.

    Returns the pictures, under the names that they were uploaded with, and table rows for what was
    passed over. Raises InputError when there are neither.
    """
    sources: list[Path] = []
    called: dict[Path, str] = {}
    notes: Rows = []
    for number, upload in enumerate(files):
        name = upload_name(upload)
        place = inbox / str(number)
        place.mkdir(parents=True)
        path = Path(shutil.copyfile(upload["path"], place / file_name(name)))
        if path.suffix.lower() == ".zip":
            path, archive = place / path.stem, path
            notes += _unpack(archive, path)
        else:
            called[path] = name
        sources.append(path)
    pictures = [replace(one, name=called.get(one.path, one.name)) for one in find_images(sources)]
    if not pictures and not notes:
        raise InputError("There is no photo yet: add photos, or a zip that holds some.")
    return pictures, notes


def _unpack(archive: Path, folder: Path) -> Rows:
    """Unpack a zip; returns a row for each entry passed over, or one for a zip that failed."""
    skipped: list[str] = []
    folder.mkdir()
    try:
        unpack_zip(archive, folder, skipped.append)
    except InputError as error:
        return [[archive.name, FAILED, str(error)]]
    return [[archive.name, SKIPPED, sentence] for sentence in skipped]
