"""A journal: edits appended to a file one by one, so that a crash loses none that was answered.

A record is two lengths, a header in JSON, a payload and the CRC-32 of all before it. Older files
have records without a checksum; the top bit of the header's length tells which one it is.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from segdemo.files import atomic_write

LENGTHS = struct.Struct("<II")  # bytes of the header, bytes of the payload
CHECKSUM = struct.Struct("<I")
CHECKED = 1 << 31  # in the header's length: a checksum follows the payload


@dataclass(frozen=True)
class Entry:
    """header: what was done, as JSON; payload: its pixels; checked: whether a checksum held."""

    header: dict[str, Any]
    payload: bytes
    checked: bool = True


@dataclass(frozen=True)
class Contents:
    """entries: all before the first damaged one; intact: whether there is no damaged one."""

    entries: list[Entry]
    intact: bool


def append(path: Path, entry: Entry) -> None:
    """Add an entry at the end, on the disk when this returns; where that fails, nothing is added.

    Raises OSError.
    """
    created = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.fstat(handle).st_size
        try:
            rest = memoryview(encoded(entry))
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        except OSError:  # half an entry would hide all that come after it
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)
    if created:
        sync_folder(path.parent)


def encoded(entry: Entry) -> bytes:
    """Return an entry's record, with its checksum."""
    header = json.dumps(entry.header).encode()
    record = LENGTHS.pack(len(header) | CHECKED, len(entry.payload)) + header + entry.payload
    return record + CHECKSUM.pack(zlib.crc32(record))


def read(path: Path) -> Contents:
    """Read the entries in order, up to the first that a crash or the disk damaged."""
    entries: list[Entry] = []
    if not path.exists():
        return Contents(entries, True)
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(0)
        for entry in _records(file, end):
            if entry is None:
                return Contents(entries, False)
            entries.append(entry)
    return Contents(entries, True)


def last_header(path: Path) -> dict[str, Any] | None:
    """Return the last entry's header without reading any payload; None for no entries."""
    last = None
    if path.exists():
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(0)
            while (lengths := _lengths(file, end)) is not None:
                try:
                    last = json.loads(file.read(lengths.header))
                except ValueError:
                    break
                file.seek(lengths.payload + lengths.checksum, 1)
    return last


@contextmanager
def durable_write(path: Path) -> Iterator[BinaryIO]:
    """Write a file whole or not at all, as `atomic_write`, and on the disk once this is left."""
    with atomic_write(path) as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the system can."""
    with suppress(OSError):  # Windows opens no folders, some network disks sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class _Lengths:
    """Bytes of an entry's parts; packed: as they stand in the file."""

    packed: bytes
    header: int
    payload: int
    checksum: int


def _lengths(file: BinaryIO, end: int) -> _Lengths | None:
    """Read the lengths of the next entry; None where the file ends before the entry does."""
    packed = file.read(LENGTHS.size)
    if len(packed) < LENGTHS.size:
        return None
    header, payload = LENGTHS.unpack(packed)
    checksum = CHECKSUM.size if header & CHECKED else 0
    lengths = _Lengths(packed, header & ~CHECKED, payload, checksum)
    rest = end - file.tell()
    return lengths if lengths.header + payload + checksum <= rest else None


def _records(file: BinaryIO, end: int) -> Iterator[Entry | None]:
    """Yield each entry, and None in place of the first that is damaged."""
    while file.tell() < end:
        lengths = _lengths(file, end)
        entry = None if lengths is None else _entry(file, lengths)
        yield entry
        if entry is None:
            return


def _entry(file: BinaryIO, lengths: _Lengths) -> Entry | None:
    header, payload = file.read(lengths.header), file.read(lengths.payload)
    if lengths.checksum:
        checksum = zlib.crc32(payload, zlib.crc32(header, zlib.crc32(lengths.packed)))
        if file.read(lengths.checksum) != CHECKSUM.pack(checksum):
            return None
    try:
        said = json.loads(header)
    except ValueError:
        return None
    return Entry(said, payload, lengths.checksum > 0) if isinstance(said, dict) else None
