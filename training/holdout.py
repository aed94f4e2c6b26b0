"""Items that are held out of training, to validate on."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def hold_out(
    items: list[Item], count: int, rng: np.random.Generator
) -> tuple[list[Item], list[Item]]:
    """Split items into those to train on and `count` random ones, both in their order."""
    held = set(rng.permutation(len(items))[:count].tolist())
    kept = [item for index, item in enumerate(items) if index not in held]
    return kept, [items[index] for index in sorted(held)]
