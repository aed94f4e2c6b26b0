"""Patches: the rectangle of a label map that an edit changed, and how it travels."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError, Labels

DAMAGED = "The edit arrived damaged."


@dataclass(frozen=True, eq=False)
class Patch:
    """labels: (h, w) uint16 for the pixels from column x and row y on."""

    x: int
    y: int
    labels: Labels

    def put_on(self, labels: Labels) -> None:
        """Write the patch into a label map; raises InputError where it does not fit on it."""
        self.window_of(labels)[:] = self.labels

    def window_of(self, labels: Labels) -> Labels:
        """Return a view of its rectangle in a label map; raises InputError where it has none."""
        height, width = self.labels.shape
        if not (0 <= self.x <= labels.shape[1] - width and 0 <= self.y <= labels.shape[0] - height):
            raise InputError(DAMAGED)
        return labels[self.y : self.y + height, self.x : self.x + width]


def difference(before: Labels, after: Labels) -> Patch | None:
    """Return the smallest patch that turns one map into the other; None for equal maps."""
    changed = before != after
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    if not len(rows):
        return None
    window = after[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Patch(int(columns[0]), int(rows[0]), window.copy())


def pack(values: npt.NDArray[np.generic]) -> bytes:
    """Compress an array's bytes, numbers little endian, row by row."""
    return gzip.compress(np.ascontiguousarray(values).tobytes(), compresslevel=1)


def unpack_labels(packed: bytes, height: int, width: int) -> Labels:
    """Read what `pack` wrote of labels; raises InputError for anything else.

    No more is decompressed than such labels can have: a small packet cannot fill the memory.
    """
    size = height * width * 2
    try:
        reader = zlib.decompressobj(wbits=31)
        raw = reader.decompress(packed, size + 1)
    except zlib.error as error:
        raise InputError(DAMAGED) from error
    if len(raw) != size or not reader.eof:
        raise InputError(DAMAGED)
    return np.frombuffer(raw, "<u2").reshape(height, width).astype(np.uint16)
