"""Which file holds which image's masks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from segdemo.datatypes import InputError
from segdemo.images import SUFFIXES


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
    path = PurePosixPath(name)
    return name[: -len(path.suffix)] if path.suffix.lower() in SUFFIXES else name


def _parts(name: str) -> tuple[str, ...]:
    # Windows rules see drive letters and backslashes, which matter there, as well as slashes
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts or not path.name or "\0" in name:
        raise InputError(f"{name!r} is not a file name within a folder: rename the image.")
    return path.parts
