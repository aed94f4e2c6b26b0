"""A journal: edits appended to a file one by one, so that a crash loses none that was answered."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

LENGTHS = struct.Struct("<II")  # bytes of the header, bytes of the payload


@dataclass(frozen=True)
class Entry:
    """header: what was done, as JSON; payload: its pixels."""

    header: dict[str, Any]
    payload: bytes


def append(path: Path, entry: Entry) -> None:
    """Add an entry at the end; where writing fails (OSError), nothing is added."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            write(file, entry)
    except OSError:  # half an entry would hide all that come after it
        if path.exists():
            os.truncate(path, before)
        raise


def write(stream: BinaryIO, entry: Entry) -> None:
    """Write one entry to an open file."""
    header = json.dumps(entry.header).encode()
    stream.write(LENGTHS.pack(len(header), len(entry.payload)) + header + entry.payload)


def entries(path: Path) -> Iterator[Entry]:
    """Yield the entries in order; one that was cut short by a crash ends the journal."""
    if path.exists():
        with path.open("rb") as file:
            for header, length in _headers(file):
                yield Entry(header, file.read(length))


def last_header(path: Path) -> dict[str, Any] | None:
    """Return the last entry's header without reading any payload; None for no entries."""
    last = None
    if path.exists():
        with path.open("rb") as file:
            for header, length in _headers(file):
                last = header
                file.seek(length, 1)
    return last


def _headers(file: BinaryIO) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each whole entry's header and its payload's length, with the file at the payload."""
    end = file.seek(0, 2)
    file.seek(0)
    while len(lengths := file.read(LENGTHS.size)) == LENGTHS.size:
        header_length, payload_length = LENGTHS.unpack(lengths)
        if file.tell() + header_length + payload_length > end:
            return
        yield json.loads(file.read(header_length)), payload_length
