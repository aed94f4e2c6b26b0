"""Measured rows on disk: appended one by one, so that a killed run loses at most the last.

A record is a line of JSON that names its key and length, a line with the row's JSON, and the bytes
of the row's arrays: curves and matches never become text.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

Row = dict[str, Any]
"""Name -> numbers, words, arrays, and lists and dictionaries of these."""

ARRAY = "ndarray"  # marks [dtype, shape, offset] of an array in a row's JSON


class RowFile:
    """Rows by key. Use it in `with`; what a kill left unfinished at the end is cut off."""

    def __init__(self, path: Path) -> None:
        """Open `path` or begin it."""
        self._file = path.open("a+b")
        self._places: dict[str, tuple[int, int]] = {}  # key -> (offset, bytes of the row)
        self._file.truncate(self._read_places())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def __contains__(self, key: str) -> bool:
        """Return whether a row is there."""
        return key in self._places

    def append(self, key: str, row: Row) -> None:
        """Write a row at once."""
        body = _encode(row)
        head = json.dumps({"key": key, "bytes": len(body)}).encode() + b"\n"
        self._places[key] = (self._file.seek(0, os.SEEK_END) + len(head), len(body))
        self._file.write(head + body)
        self._file.flush()

    def read(self, key: str) -> Row:
        """Return a row as it was appended; its arrays cannot be written to."""
        offset, length = self._places[key]
        self._file.seek(offset)
        return _decode(self._file.read(length))

    def _read_places(self) -> int:
        """Find all complete records; return where they end."""
        size, end = self._file.seek(0, os.SEEK_END), 0
        self._file.seek(0)
        while line := self._file.readline():
            try:
                head = json.loads(line)
                key, length = head["key"], head["bytes"]
            except (ValueError, KeyError, TypeError):
                break
            if (offset := self._file.tell()) + length > size:
                break
            self._places[key] = (offset, length)
            end = self._file.seek(offset + length)
        return end


def _encode(row: Row) -> bytes:
    arrays = bytearray()

    def keep(value: Any) -> dict[str, Any]:
        if not isinstance(value, np.ndarray):
            raise TypeError(f"a row cannot hold {type(value)}")
        place = [value.dtype.str, value.shape, len(arrays)]
        arrays.extend(value.tobytes())
        return {ARRAY: place}

    return json.dumps(row, default=keep).encode() + b"\n" + arrays


def _decode(record: bytes) -> Row:
    text, _, arrays = record.partition(b"\n")

    def restore(entry: dict[str, Any]) -> Any:
        if set(entry) != {ARRAY}:
            return entry
        dtype, shape, offset = entry[ARRAY]
        return np.frombuffer(arrays, dtype, math.prod(shape), offset).reshape(shape)

    row: Row = json.loads(text, object_hook=restore)
    return row
