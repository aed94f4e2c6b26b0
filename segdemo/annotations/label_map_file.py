"""CVAT's `labelmap.txt`: the classes of a folder of images, with their colours."""

from __future__ import annotations

from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.regular_files import open_regular, read_regular

LABEL_MAP = "labelmap.txt"
_HEADER = "# label:"

Colour = tuple[int, int, int]
"""(red, green, blue), each 0 to 255."""


def is_label_map(path: Path) -> bool:
    """Whether a text file lists classes as CVAT does, `label:color_rgb:parts:actions`."""
    try:
        with open_regular(path) as stream:
            return stream.read(len(_HEADER) + 3).lstrip(b"\xef\xbb\xbf").startswith(b"# label:")
    except (OSError, InputError):
        return False


def read_label_map(path: Path) -> dict[str, Colour]:
    """Read CVAT's `labelmap.txt` as colours by label, in the order of its lines.

    Raises InputError.
    """
    labels: dict[str, Colour] = {}
    try:
        lines = read_regular(path).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read as text: save it as UTF-8.") from error
    for i, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        label, *fields = line.rsplit(":", 3)
        values = fields[0].split(",") if len(fields) == 3 else []
        if len(values) != 3 or not all(v.strip().isdecimal() and int(v) < 256 for v in values):
            raise InputError(f"{path.name}: line {i} is not `label:red,green,blue:parts:actions`.")
        red, green, blue = (int(value) for value in values)
        labels[label] = (red, green, blue)
    return labels
