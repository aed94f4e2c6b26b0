"""Files of objects: which there are, what they are called, how large their images are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from segdemo.annotations.file_names import without_suffix
from segdemo.annotations.folders import LABEL_SUFFIXES
from segdemo.datatypes import InputError
from segdemo.regular_files import read_regular

_OTHERS = (".npz", ".npy", ".json", ".txt")


def read_json(path: Path) -> Any:
    """Parse a JSON; raises InputError."""
    try:
        return json.loads(read_regular(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is corrupt or no JSON: export it again.") from error


def stem(name: str) -> str:
    """Return an image's name without folder and ending, in small letters."""
    return without_suffix(PurePosixPath(name.replace("\\", "/")).name).casefold()


def instance_files(
    folder: Path, endings: Collection[str] = (*LABEL_SUFFIXES, *_OTHERS)
) -> list[Path]:
    """List a folder's files of objects, sorted by name; raises InputError without any."""
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in endings and not file.name.startswith(".") and file.is_file()
    )
    if not found:
        raise InputError(f"{folder} holds no files of objects: give label maps, NPZ or JSON.")
    return found


def size_in_header(file: Path) -> tuple[int, int] | None:
    """Return a label map's (height, width) from its head, None for other files."""
    if file.suffix.lower() not in LABEL_SUFFIXES:
        return None
    try:
        with Image.open(file) as image:
            return image.height, image.width
    except OSError as error:
        raise InputError(f"{file} is corrupt or no image: copy it again.") from error


def read_list(path: Path) -> list[str]:
    """Read names or image ids, separated by spaces, commas or lines; raises InputError."""
    try:
        names = [name for name in re.split(r"[\s,;\[\]\"']+", read_regular(path).decode()) if name]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a list of images: give a text, a name a line.") from error
    if not names:
        raise InputError(f"{path} names no images.")
    return names
