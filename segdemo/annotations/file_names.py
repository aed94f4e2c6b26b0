"""Which file holds which image's masks, and how names are compared."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from segdemo.datatypes import InputError
from segdemo.images import SUFFIXES

# What tools put around an image's name: Label Studio 8 hex digits or a UUID before it, Roboflow the
# ending and a hash behind it. Eight digits that are a date belong to the name.
_PREFIX = re.compile(
    r"(?!(?:19|20)\d{6}[-_])[0-9a-f]{8}(?:(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?(?:-|__)(?=.)"
)
_ROBOFLOW = re.compile(r"(.+?)(?:_(?:jpe?g|png|webp|bmp|tiff?))?\.rf\.[0-9a-z]{8,}")


def name_forms(name: str) -> tuple[str, ...]:
    """Return the forms by which an image's name is compared, from the strictest to the loosest.

    All are in small letters and Unicode's NFC: the whole name, that without its ending, that
    without folders, and the last decoded where it is a URL's.
    """
    whole = unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()
    bare = without_suffix(whole)
    plain = unicodedata.normalize("NFC", unquote(whole)).casefold()
    plain = plain.split("?d=")[-1].split("?")[0]
    return whole, bare, _last(bare), _last(without_suffix(plain))


def without_hash(form: str) -> str:
    """Return the last of `name_forms` without the hash that a tool has added, if there is one."""
    roboflow = _ROBOFLOW.fullmatch(form)
    return roboflow[1] if roboflow else _PREFIX.sub("", form, count=1)


def output_path(folder: Path, name: str, suffix: str) -> Path:
    """Return `<folder>/<name without ending><suffix>`, sub-folders of the name made.

    Raises InputError for names that lead out of the folder.
    """
    path = folder.joinpath(*_parts(without_suffix(name) + suffix))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def check_distinct(names: Iterable[str]) -> None:
    """Raise InputError where two images would share a file, whatever its ending."""
    taken: dict[str, str] = {}
    for name in names:
        stem = "/".join(_parts(without_suffix(name))).casefold()
        if stem in taken:
            raise InputError(f"{taken[stem]} and {name} would share one file: rename one of them.")
        taken[stem] = name


def path_inside(folder: Path, name: str, file: str) -> Path:
    """Return the path of a file that `file` names; raises InputError where it lies elsewhere."""
    try:
        return folder.joinpath(*_parts(name))
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def without_suffix(name: str) -> str:
    """Return an image's name without its ending; dots elsewhere in it stay (`a.b`, `v1.2.jpg`)."""
    bare, suffix = posixpath.splitext(name)
    return bare if suffix.lower() in SUFFIXES else name


def _last(path: str) -> str:
    """Return a path's last part. `PurePosixPath.name` takes ten times as long."""
    return path.rstrip("/").rpartition("/")[2]


def _parts(name: str) -> tuple[str, ...]:
    # Windows rules see drive letters and backslashes, which matter there, as well as slashes
    path = PureWindowsPath(name)
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:  # JSON may hold halves of characters
        raise InputError(f"{name!r} cannot be a file's name: rename the image.") from error
    if path.anchor or ".." in path.parts or not path.name or "\0" in name:
        raise InputError(f"{name!r} is not a file name within a folder: rename the image.")
    return path.parts
