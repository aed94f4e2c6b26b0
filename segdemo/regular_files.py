"""Open regular files only, and read no more of them than a limit.

Folders hold other things under a file's name: a FIFO blocks whoever opens it, a device never ends.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from segdemo.datatypes import InputError

CHUNK = 1 << 20
MAX_BYTES = 2_000_000_000  # of one image or archive
MAX_TEXT_BYTES = 2_000_000_000  # of one JSON or text: annotations of large data sets


def open_regular(path: Path, max_bytes: int = MAX_BYTES, name: str | None = None) -> BufferedReader:
    """Open a file to read its bytes; links are followed. name: what messages call it.

    Raises InputError for what is not a regular file (a FIFO, a socket, a device) or holds more
    than `max_bytes`, and OSError where it cannot be opened at all.
    """
    name = name or path.name
    # O_NONBLOCK: opening a FIFO to read would wait for a writer; regular files do not care
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _WINDOWS_FLAGS)
    stream = os.fdopen(descriptor, "rb")  # raises IsADirectoryError for a folder
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        stream.close()
        raise InputError(f"{name} is not a regular file (a pipe or a device): copy its bytes.")
    if status.st_size > max_bytes:
        stream.close()
        raise InputError(
            f"{name} holds {status.st_size / 1e6:.1f} MB, more than the {max_bytes / 1e6:g} "
            "MB that are read of such a file: check that it is the right one."
        )
    return stream


def read_regular(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Return the bytes of a file; raises as `open_regular` does."""
    content = bytearray()
    with open_regular(path, max_bytes) as stream:
        # a file may grow, and some in /proc say that they are empty; read(n) takes n bytes at once
        while chunk := stream.read(CHUNK):
            content += chunk
            if len(content) > max_bytes:
                raise InputError(
                    f"{path.name} holds more than {max_bytes / 1e6:g} MB: check that file."
                )
    return bytes(content)


def real_path(path: Path) -> Path:
    """Follow links; unlike `Path.resolve` it does not raise for links in a loop."""
    return Path(os.path.realpath(path))


_WINDOWS_FLAGS = getattr(os, "O_BINARY", 0)
