"""Files that come from and go to visitors and programs; uploads of many, zips unpacked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from gradio import FileData
from gradio_client.utils import is_file_obj_with_meta
from PIL import Image

from segdemo.datatypes import InputError
from segdemo.files import ImageFile, find_images, unpack_zip
from segdemo.images import load_rgb
from segdemo.ui.kept_files import file_name, file_stem, new_folder

SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
FAILED, SKIPPED = "failed", "skipped"

Rows = list[list[str]]
"""File, status, details."""


class Upload(TypedDict):
    """A file as Gradio hands it over: where it lies, and what its owner called it."""

    path: str
    orig_name: str | None


def upload_name(upload: Upload) -> str:
    """Return an upload's own name, without folders."""
    name = upload.get("orig_name") or upload["path"]
    return name.replace("\\", "/").rsplit("/", 1)[-1] or "image"


def received(given: object) -> Upload | None:
    """Read what a program sends as a file, or None for none; raises InputError.

    Gradio has checked the path of every record that says it is a file: it names an upload. Any
    other path may lead anywhere on this machine, so it is refused.
    """
    if given is None:
        return None
    if not is_file_obj_with_meta(given):
        raise InputError("Upload the file first, as gradio_client.handle_file(path) does.")
    assert isinstance(given, dict)
    return Upload(path=given["path"], orig_name=given.get("orig_name"))


def served(path: Path) -> Any:
    """Return a file as Gradio serves it inside a component's value or an endpoint's result."""
    return FileData(path=str(path), orig_name=path.name).model_dump()


def shown_version(upload: Upload, on_change: Callable[[str], None]) -> Path | None:
    """Check that an upload can be read; return a PNG of it where browsers cannot show it itself.

    on_change: see `load_rgb`. None means that it can be shown as it is. Raises InputError for what
    is no image.
    """
    name = upload_name(upload)
    image = load_rgb(upload["path"], name, on_change)
    if Path(name).suffix.lower() in SHOWN_BY_BROWSERS:
        return None
    path = new_folder() / f"{file_stem(name)}.png"
    Image.fromarray(image).save(path)
    return path


def collect(files: list[Upload], inbox: Path) -> tuple[list[ImageFile], Rows]:
    """Lay uploads into a folder, zips unpacked.

    Returns the images, under the names that they were uploaded with, and table rows for what was
    skipped. Raises InputError when there are neither.
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
    images = [replace(one, name=called.get(one.path, one.name)) for one in find_images(sources)]
    if not images and not notes:
        raise InputError("There is no photo yet: add photos, or a zip that holds some.")
    return images, notes


def _unpack(archive: Path, folder: Path) -> Rows:
    """Unpack a zip; returns a row for each entry that was skipped, or one for a zip that failed."""
    skipped: list[str] = []
    folder.mkdir()
    try:
        unpack_zip(archive, folder, skipped.append)
    except InputError as error:
        return [[archive.name, FAILED, str(error)]]
    return [[archive.name, SKIPPED, sentence] for sentence in skipped]
