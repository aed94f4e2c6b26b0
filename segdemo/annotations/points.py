"""Point annotations: one point on each object, in a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.annotations.collector import MaskCollector
from segdemo.datatypes import InputError, Points
from segdemo.regular_files import read_regular


def read_points(
    path: Path, names: Collection[str] | None = None, name: str = ""
) -> dict[str, Points]:
    """Read points by the names of their images.

    The file holds `{"photo.jpg": [[x, y], ...], ...}`; a point may also be `{"x": .., "y": ..}`
    with more in it, as in the point annotations of PASCAL VOC. names: the images wanted, which are
    matched as `read_masks` does; None takes all. name: what messages call the file. Raises
    InputError, which names the file and the image.
    """
    file = name or path.name
    try:
        content: Any = json.loads(read_regular(path))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged or not JSON: export it again.") from error
    if not isinstance(content, dict):
        raise InputError(f'{file} holds no points: write {{"photo.jpg": [[x, y], ...]}}.')
    # only names are matched: sizes do not matter
    collector = MaskCollector(None if names is None else dict.fromkeys(names, (1, 1)))
    found: dict[str, Points] = {}
    for image, entries in content.items():
        key = collector.key(image, file)
        if key is None:
            continue
        if key in found:
            raise InputError(f"{file} has points of {key} twice: remove one.")
        found[key] = points_of_one(entries, f"{file}: {image[:80]}")
    return found


def points_of_one(entries: Any, name: str) -> Points:
    """Read the points of one image, see `read_points`; name: what messages call it."""
    points = []
    for entry in entries if isinstance(entries, list) else [None]:
        pair = [entry.get("x"), entry.get("y")] if isinstance(entry, dict) else entry
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(v, int | float) and math.isfinite(v) for v in pair)
        ):
            raise InputError(f"{name} has a point that is not [x, y] in pixels.")
        points.append(pair)
    return np.array(points, np.float64).reshape(-1, 2)
