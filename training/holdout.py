"""Items that are held out of training, to validate on, and that nothing of them is trained on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from segdemo.datatypes import InputError
from segdemo.regular_files import real_path

logger = logging.getLogger(__name__)

SHOWN = 5

Item = TypeVar("Item")


def hold_out(
    items: list[Item], count: int, rng: np.random.Generator
) -> tuple[list[Item], list[Item]]:
    """Split items into those to train on and `count` random ones, both in their order."""
    held = set(rng.permutation(len(items))[:count].tolist())
    kept = [item for index, item in enumerate(items) if index not in held]
    return kept, [items[index] for index in sorted(held)]


def clamp_held_out(count: int, total: int) -> int:
    """Return how many of `total` items to hold out: `count`, and at most half; warns for less.

    0 for a single item: there is nothing to measure on then.
    """
    clamped = min(count, total // 2)
    if clamped < count:
        logger.warning(
            "%d of %d images are held out to validate on, not %d: at most half are",
            clamped,
            total,
            count,
        )
    return clamped


def check_apart(training: Sequence[Path], validation: Sequence[Path]) -> None:
    """Raise InputError, which names them, for files to validate on that are trained on, too.

    Files are the same if they are one file, whatever links lead to it, or have the same bytes.
    """
    trained = {real_path(file): file for file in training}
    sizes = {file.stat().st_size for file in validation}
    trained_bytes = {
        _digest(file): file for file in training if file.stat().st_size in sizes
    }  # only files of an equal size can be copies
    shared = []
    for file in validation:
        same = trained.get(real_path(file)) or trained_bytes.get(_digest(file))
        if same is not None:
            shared.append(f"{file} is {same}" if same != file else str(file))
    if shared:
        more = f" and {len(shared) - SHOWN} more" if len(shared) > SHOWN else ""
        raise InputError(
            "Images to validate on are trained on as well, so that what is measured would mean "
            f"little: {'; '.join(shared[:SHOWN])}{more}. Remove them from one of the two."
        )


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
