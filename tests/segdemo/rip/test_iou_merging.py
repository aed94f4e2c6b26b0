"""IoU and merging agree with the plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.rip.iou_merging import iou_matrix, merge_overlapping


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (16, 16)])
def test_iou_equals_the_loop(shape: tuple[int, int]) -> None:
    masks = np.random.default_rng(0).random((6, *shape)) > 0.6
    masks[3] = False
    for i, a in enumerate(masks):
        for j, b in enumerate(masks):
            expected = (a & b).sum() / (a | b).sum() if (a | b).any() else 0
            assert iou_matrix(masks)[i, j] == pytest.approx(expected)


def _bars(*spans: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(spans), 1, 40), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return masks


def test_chains_are_joined_and_unions_measured_again() -> None:
    masks = _bars((0, 10), (3, 13), (6, 16), (30, 40), (0, 16))
    merged, groups, merges = merge_overlapping(masks, 0.5)
    assert groups == [(0, 1, 2, 4), (3,)]
    np.testing.assert_array_equal(merged, _bars((0, 16), (30, 40)))
    assert all(0.5 < merge.iou <= 1 for merge in merges)


def test_what_overlaps_just_enough_stays_apart() -> None:
    masks = _bars((0, 15), (5, 20))  # IoU one half
    merged, groups, merges = merge_overlapping(masks, 0.5)
    assert (len(merged), groups, merges) == (2, [(0,), (1,)], [])


def test_no_masks_and_one_mask() -> None:
    assert merge_overlapping(np.zeros((0, 4, 4), bool), 0.5)[1] == []
    assert merge_overlapping(np.ones((1, 4, 4), bool), 0.5)[1] == [(0,)]
