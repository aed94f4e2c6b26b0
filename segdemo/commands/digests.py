"""Hashes that tell whether what a result was made from has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.regular_files import open_regular

DIGITS = 32  # of a digest


def file_digest(path: Path) -> str:
    """Return a hash of a file's content; raises InputError."""
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "blake2b").hexdigest()[:DIGITS]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


def model_digest(name: str) -> str | None:
    """Return a hash of a model's files, by size and time: models are large. None for a name."""
    path = Path(name)
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    stats = [(file.as_posix(), file.stat()) for file in files if file.is_file()]
    listed = [(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats]
    return hashlib.blake2b(repr(listed).encode()).hexdigest()[:DIGITS]
