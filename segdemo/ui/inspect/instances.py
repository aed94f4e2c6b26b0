"""Instance masks for the instance check: drawn on the page, or fitted to the photo."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError, Labels

PAINTED_SIDE = 256  # pixels; attention has 128 cells a side at most
SAME_SHAPE = 0.02  # how far two ratios of width and height may lie apart


@dataclass(frozen=True)
class Drawing:
    """What was drawn: rows * columns bytes of ids, row by row."""

    rows: int
    columns: int
    labels: bytes

    def label_map(self) -> npt.NDArray[np.int64]:
        """Return the ids as an array."""
        flat = np.frombuffer(self.labels, np.uint8).astype(np.int64)
        return flat.reshape(self.rows, self.columns)


def read_drawing(rows: object, columns: object, labels: object) -> Drawing | None:
    """Check what the browser sent of a drawing; None for an empty one. Raises InputError.

    labels: base64 of rows * columns bytes.
    """
    damaged = InputError("The drawing arrived damaged: reload the page and draw again.")
    if not isinstance(rows, int) or not isinstance(columns, int) or not isinstance(labels, str):
        raise damaged
    try:
        ids = base64.b64decode(labels, validate=True)
    except (ValueError, binascii.Error) as error:
        raise damaged from error
    if not (0 < rows <= PAINTED_SIDE and 0 < columns <= PAINTED_SIDE):
        raise damaged
    if len(ids) != rows * columns:
        raise damaged
    return Drawing(rows, columns, ids) if any(ids) else None


def painted_size(width: int, height: int) -> tuple[int, int]:
    """Return (rows, columns) of a drawing on a photo of that size."""
    scale = min(1.0, PAINTED_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fitted(labels: Labels, size: tuple[int, int], name: str) -> npt.NDArray[np.int64]:
    """Bring a label map to a photo's (height, width) without mixing ids; ids become 1, 2, ..

    Raises InputError where the shapes differ or fewer than two instances are there.
    """
    height, width = size
    rows, columns = labels.shape
    if abs((columns * height) / (rows * width) - 1) > SAME_SHAPE:
        raise InputError(
            f"{name} is {columns} x {rows}, the photo {width} x {height}: give a mask of the same "
            "shape."
        )
    ids, dense = np.unique(labels, return_inverse=True)
    count = int((ids != 0).sum())
    if count < 2:
        found = "one instance" if count else "no instance"
        raise InputError(f"{name} holds {found}: the instance check compares two or more.")
    dense = dense.reshape(labels.shape) + (1 if ids[0] > 0 else 0)
    across = ((np.arange(width) + 0.5) * columns / width).astype(int)
    down = ((np.arange(height) + 0.5) * rows / height).astype(int)
    return dense[np.ix_(down, across)].astype(np.int64)
