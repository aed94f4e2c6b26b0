"""Instance masks for the instance check: read from a file to the letter, or drawn on the page."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from segdemo.datatypes import InputError
from segdemo.images import LARGEST_PICTURE
from segdemo.ui.uploads import Upload, upload_name

LabelMap = npt.NDArray[np.int64]
"""(H, W) ids, 0 = background."""

MOST_IDS = 1000
PAINTED_SIDE = 256  # pixels; attention has 128 cells a side at most
SAME_SHAPE = 0.02  # how far two ratios of width and height may lie apart


@dataclass(frozen=True)
class Drawing:
    """What was drawn: rows * columns bytes of ids, row by row."""

    rows: int
    columns: int
    labels: bytes

    def label_map(self) -> LabelMap:
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


def read_instance_mask(upload: Upload) -> LabelMap:
    """Read a label picture as (H, W) ids as they are stored; raises InputError.

    Palette indices, 8- and 16-bit greys are the ids; of a picture in colours each colour is one,
    black the background.
    """
    name = upload_name(upload)
    try:
        with Image.open(upload["path"], formats=("PNG", "TIFF", "BMP", "GIF")) as picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise InputError(f"{name} has too many pixels for an instance mask: reduce it.")
            return _ids(picture, name)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is no instance mask: save it as PNG, each instance with a number of its own "
            "(JPEG and WebP blur numbers)."
        ) from error
    except InputError:
        raise
    # damaged bytes raise whatever the decoder stumbles over, see segdemo.images
    except Exception as error:
        raise InputError(f"{name} is damaged or incomplete: copy it anew.") from error


def _ids(picture: Image.Image, name: str) -> LabelMap:
    if picture.mode in ("P", "L", "1", "I") or picture.mode.startswith("I;16"):
        ids = np.asarray(picture).astype(np.int64)
    elif picture.mode in ("RGB", "RGBA", "LA"):
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), np.int32), -1, 0)
        ids = red << 16 | green << 8 | blue
    else:
        raise InputError(f"{name} holds no whole numbers: save it as 8- or 16-bit PNG.")
    count = len(np.unique(ids))
    if count > MOST_IDS:
        raise InputError(
            f"{name} holds {count} different values, which looks like a photo: an instance mask "
            "has one number or flat colour an instance."
        )
    return ids


def fitted(labels: LabelMap, size: tuple[int, int], name: str) -> LabelMap:
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
