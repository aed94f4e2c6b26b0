"""Instances as run lengths: the same as masks, in a fraction of the memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from segdemo.annotations import InstanceRuns, MaskFormat, read_masks, write_masks
from segdemo.datatypes import Front, InputError, InstanceMasks


def random_masks(seed: int, size: tuple[int, int] = (7, 5)) -> InstanceMasks:
    """Overlapping, full and empty masks, scores with ties, a crowd."""
    rng = np.random.default_rng(seed)
    masks = rng.random((6, *size)) < rng.random((6, 1, 1))
    masks[0], masks[1] = False, True
    scores = rng.integers(0, 3, 6).astype(np.float32)
    return InstanceMasks(masks, scores, rng.integers(0, 4, 6), {0: "a"}, rng.random(6) < 0.3)


@pytest.mark.parametrize("seed", range(5))
def test_runs_hold_what_masks_hold(seed: int) -> None:
    masks = random_masks(seed)
    runs = InstanceRuns.of(masks)
    back = runs.decoded()
    np.testing.assert_array_equal(back.masks, masks.masks)
    np.testing.assert_array_equal(list(runs.masks), masks.masks)
    np.testing.assert_array_equal(runs.areas, masks.areas)
    np.testing.assert_array_equal(back.crowd, masks.crowd)
    assert back.names == masks.names
    for front in get_args(Front):
        ours, theirs = runs.to_label_map(front), masks.to_label_map(front)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert (ours.overlapped, ours.hidden) == (theirs.overlapped, theirs.hidden)


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_label_maps_become_runs(dtype: type) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (9, 6)).astype(dtype) * 300
    for given in (labels, labels + 1, np.zeros((3, 2), dtype)):
        runs = InstanceRuns.from_label_map(given)
        masks = InstanceMasks.from_label_map(given)
        np.testing.assert_array_equal(runs.decoded().masks, masks.masks)
        assert runs.counts == InstanceRuns.of(masks).counts


def test_masks_that_exceed_memory_are_refused_when_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segdemo.annotations.instance_runs.MAX_DECODED_BYTES", 6 * 35 - 1)
    with pytest.raises(InputError, match="6 masks of 5 x 7 take more than"):
        InstanceRuns.of(random_masks(0)).decoded()


@pytest.mark.parametrize("mask_format", ["coco", "npz", "yolo"])
def test_a_set_takes_less_memory_than_one_images_masks(
    mask_format: MaskFormat, tmp_path: Path
) -> None:
    labels = np.kron(np.arange(101)[1:].reshape(10, 10), np.ones((24, 24), np.int64))
    runs = {f"{i}.png": InstanceRuns.from_label_map(labels) for i in range(3)}
    path = tmp_path / ("out.json" if mask_format.startswith(("coco", "pan")) else "out")
    write_masks(runs, path, mask_format)  # imports and caches
    stack = 100 * labels.size
    tracemalloc.start()
    write_masks(runs, path, mask_format)
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 0.5 * stack
    if mask_format != "npz":  # it holds a stack itself
        tracemalloc.reset_peak()
        found = read_masks(path, dict.fromkeys(runs, labels.shape)).runs
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 0.75 * stack
        assert [len(one) for one in found.values()] == [100] * 3
    tracemalloc.stop()
