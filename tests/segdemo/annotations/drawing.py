"""Instances for tests: random ones of every kind, and a few drawn by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from segdemo.datatypes import InstanceMasks

NAMES = {0: "none", 3: "cat", 7: 'a "dog" 犬', 90: "<img onerror=alert(1)>"}


def drawn(*rows: str) -> npt.NDArray[np.bool_]:
    """Return a mask from rows of `#` and `.`."""
    return np.array([[mark == "#" for mark in row] for row in rows])


RING = drawn("#####", "#...#", "#.#.#", "#...#", "#####")


@st.composite
def mask_stacks(draw: Any, smallest: int = 0, sides: int = 9) -> npt.NDArray[np.bool_]:
    """Draw (N, H, W) masks: noise, so with holes, islands and corners that touch; they overlap."""
    count = draw(st.integers(smallest, 4))
    height, width = draw(st.integers(1, sides)), draw(st.integers(1, sides))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    densities = generator.random((count, 1, 1)).round(1)  # 0 and 1 among them
    return generator.random((count, height, width)) < densities


@st.composite
def instances(draw: Any, smallest: int = 0) -> InstanceMasks:
    """Draw instances with scores, classes and crowds."""
    masks = draw(mask_stacks(smallest))
    count = len(masks)
    scores = draw(st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count))
    ids = draw(st.lists(st.sampled_from(sorted(NAMES)), min_size=count, max_size=count))
    crowd = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), np.bool_)
    return InstanceMasks(
        masks,
        np.array(scores, np.float32),
        np.array(ids, np.int64),
        NAMES,
        crowd if crowd.any() else None,
    )


def assert_equal(found: InstanceMasks, wanted: InstanceMasks) -> None:
    """Compare all that instances hold."""
    np.testing.assert_array_equal(found.masks, wanted.masks)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.category_ids, wanted.category_ids)
    np.testing.assert_array_equal(crowds(found), crowds(wanted))
    assert dict(found.names) == dict(wanted.names)


def crowds(found: InstanceMasks) -> npt.NDArray[np.bool_]:
    return np.zeros(len(found), np.bool_) if found.crowd is None else found.crowd


def sizes_of(masks_by_name: Mapping[str, InstanceMasks]) -> dict[str, tuple[int, int]]:
    return {name: found.size for name, found in masks_by_name.items()}
