"""What tells whether a result was made from the same: hashes, and the precision of this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.regular_files import open_regular
from segdemo.settings import AUTO_PRECISION

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
    if not name or not path.exists():
        return None
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    stats = [(file.as_posix(), file.stat()) for file in files if file.is_file()]
    listed = [(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats]
    return hashlib.blake2b(repr(listed).encode()).hexdigest()[:DIGITS]


def precision_used(name: str, device: str) -> str:
    """Return a precision's name, with what auto means on this machine; raises InputError."""
    if name != AUTO_PRECISION:
        return name
    from segdemo.diffusion import pick_device  # seconds: it brings PyTorch
    from segdemo.precision import fastest_precision

    return f"{name} ({fastest_precision(pick_device(device))})"
