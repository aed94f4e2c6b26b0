"""A label map is refined exactly as the stack of its masks, without that stack."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.rip.refine import refine, refine_labels
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import PRESETS, RIPSettings, WalkSettings
from tests.segdemo.rip import scenes


def assert_equal(one: Refinement, other: Refinement) -> None:
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.sources == other.sources
    assert one.merges == other.merges
    assert one.components == other.components
    assert one.count == other.count


@pytest.mark.parametrize("settings", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("size", [(256, 256), (201, 255), (90, 256)], ids=str)
def test_a_map_and_its_masks_give_the_same(size: tuple[int, int], settings: RIPSettings) -> None:
    rng = np.random.default_rng(3)
    truth = scenes.make_scene(3)
    masks = scenes.fragmented(scenes.merged(truth), rng)
    labels = (np.arange(1, len(masks) + 1)[:, None, None] * masks).max(0).astype(np.int32)
    labels[labels == 2] = 0  # a number that does not occur is an empty mask
    labels, edge = (values[: size[0], : size[1]] for values in (labels, scenes.true_edges(truth)))
    stack = labels == np.arange(1, labels.max() + 1)[:, None, None]
    scores = np.linspace(0.2, 1, len(stack))
    assert_equal(
        refine_labels(labels, edge, settings=settings), refine(stack, edge, settings=settings)
    )
    assert_equal(
        refine_labels(labels, edge, scores, settings), refine(stack, edge, scores, settings)
    )


def test_half_covered_blocks_count_alike() -> None:
    labels = np.zeros((288, 90), np.int32)  # blocks of 3 x 3, of 2 x 3 with a coarser grid's rest
    labels[::2, :] = 1
    edge = np.zeros(labels.shape, np.float32)
    for grid in (16, 48, 96, 100, 144):
        settings = WalkSettings(grid=grid)
        assert_equal(
            refine_labels(labels, edge, settings=settings),
            refine((labels == 1)[None], edge, settings=settings),
        )


def test_many_instances_need_little_memory() -> None:
    side, count = 1200, 400
    rows, columns = np.indices((side, side)) // 60
    labels = (1 + rows * 20 + columns).astype(np.int32)
    edge = scenes.true_edges(labels)
    tracemalloc.start()
    result = refine_labels(labels, edge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result.sources) == count
    assert peak < side * side * count / 2  # half a byte for each pixel of a stack


def test_no_instances_at_all() -> None:
    nothing = refine_labels(np.zeros((20, 30), np.int32), np.zeros((20, 30), np.float32))
    assert nothing.sources == ()
    assert nothing.masks.shape == (0, 20, 30)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        (np.zeros((4, 4), np.float32), None, "expected integers"),
        (np.zeros((4, 5), np.int32), None, "4 x 4.*5 x 4"),
        (np.full((4, 4), -1), None, "start at 0"),
        (np.full((4, 4), 3), np.ones(2), "Label 3 has no score"),
    ],
)
def test_bad_maps_are_told_in_one_sentence(
    labels: np.ndarray, scores: np.ndarray | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        refine_labels(labels, np.zeros((4, 4), np.float32), scores)
