"""Features of patches that show two objects before a background."""

from __future__ import annotations

import numpy as np

SIDE = 24
OBJECTS = {1: (slice(4, 14), slice(3, 11)), 2: (slice(9, 20), slice(14, 22))}


def scene(noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (h, w, 32) of a background and two objects, and the objects' labels."""
    random = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.int64)
    for label, place in OBJECTS.items():
        labels[place] = label
    kinds = random.standard_normal((3, 32))
    features = kinds[labels] + noise * random.standard_normal((SIDE, SIDE, 32))
    return features.astype(np.float32), labels


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return the IoU of two masks."""
    return float((first & second).sum() / (first | second).sum())
