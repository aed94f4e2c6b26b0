"""ProMerge on features of patches: prompts, pruning by the background, merging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.uis.promerge import (
    ProMergeSettings,
    merge_masks,
    prompt_and_merge,
    prompt_masks,
    prune_masks,
)
from tests.segdemo.uis.scenes import OBJECTS, SIDE, iou, scene

PAPER = ProMergeSettings()


def axes_of(labels: np.ndarray) -> np.ndarray:
    """Return unit features (h, w, 4): each label has an axis of its own."""
    return np.eye(4, dtype=np.float32)[labels]


def strip(*cells: int, length: int = 20) -> np.ndarray:
    """Return a mask (1, length) of the cells from one number to another."""
    mask = np.zeros((1, length), bool)
    mask[0, cells[0] : cells[1]] = True
    return mask


def test_all_objects_come_out_and_nothing_else():
    features, labels = scene()
    found = prompt_and_merge(features, PAPER)
    assert len(found) == len(OBJECTS)
    assert min(max(iou(part, labels == k) for part in found) for k in OBJECTS) > 0.95
    assert found[0].sum() >= found[1].sum()


def test_every_prompt_gives_the_patches_that_are_like_it():
    features, _ = scene(noise=0.2)
    units = features / np.linalg.norm(features, axis=2, keepdims=True)
    foreground, background = prompt_masks(units, replace(PAPER, component_area=0))
    masks = foreground + background
    prompts = [(i, j) for i in range(0, SIDE, 4) for j in range(0, SIDE, 4)]
    assert len(background) + len(foreground) >= len(prompts)
    for i, j in prompts:
        alike = np.array([[units[i, j] @ one > 0.2 for one in row] for row in units])
        pieces = [mask for mask in masks if mask[i, j] and not (mask & ~alike).any()]
        assert pieces


def test_a_mask_on_two_sides_of_the_image_is_background():
    labels = np.zeros((8, 8), np.int64)
    labels[:, :5] = 1  # all of the left side, more than half of two others
    labels[2:4, 6:] = 2
    foreground, background = prompt_masks(axes_of(labels), replace(PAPER, stride=1))
    assert {mask.tobytes() for mask in background} == {(labels == 1).tobytes()}
    assert (labels == 2).tobytes() in {mask.tobytes() for mask in foreground}


def test_components_far_smaller_than_the_prompted_one_are_dropped():
    labels = np.zeros((9, 9), np.int64)
    labels[1:5, 1:5] = 1  # 16 patches
    labels[6:8, 3:8] = 1  # 10
    labels[1, 7] = 1
    foreground, _ = prompt_masks(axes_of(labels), replace(PAPER, stride=2, tau=0.5))
    assert {int(mask.sum()) for mask in foreground if (labels[mask] == 1).all()} == {16, 10}


def test_without_a_background_nothing_is_proposed():
    assert prompt_and_merge(np.zeros((8, 8, 4), np.float32), PAPER) == []
    features, _ = scene()
    assert prompt_and_merge(features, replace(PAPER, least_background=0.95)) == []


class TestPruning:
    labels = np.array([[0] * 10 + [1] * 10])
    background = labels == 0

    def kept(self, *masks: np.ndarray, **changes: float) -> list[np.ndarray]:
        return prune_masks(
            list(masks), self.background, axes_of(self.labels), replace(PAPER, **changes)
        )

    def test_masks_of_the_background_are_dropped(self):
        inside = strip(11, 15)
        (kept,) = self.kept(strip(0, 8), inside)
        np.testing.assert_array_equal(kept, inside)

    def test_a_mask_that_adds_nothing_but_background_is_dropped(self):
        whole, more = strip(10, 20), strip(5, 20)
        kept = self.kept(whole, more, background_cosine=1)
        assert [mask.sum() for mask in kept] == [10]
        assert len(self.kept(more, background_cosine=1)) == 1

    def test_a_mask_like_the_background_is_dropped_wherever_it_lies(self):
        self.background = strip(0, 9)
        assert self.kept(strip(9, 10)) == []


class TestMerging:
    units = axes_of(np.array([[1] * 10 + [2] * 10]))

    def merged(self, *masks: np.ndarray) -> list[list[int]]:
        found = merge_masks(list(masks), self.units, PAPER)
        return [np.flatnonzero(mask)[[0, -1]].tolist() for mask in found]

    def test_masks_more_than_half_in_another_join_it(self):
        assert self.merged(strip(0, 10), strip(8, 11)) == [[0, 10]]
        assert self.merged(strip(0, 10), strip(9, 11)) == [[0, 10]]  # half, and like enough

    def test_less_overlap_needs_similar_features(self):
        assert self.merged(strip(0, 6), strip(5, 9)) == [[0, 8]]
        assert self.merged(strip(0, 11), strip(10, 14)) == [[0, 10], [10, 13]]

    def test_hardly_any_overlap_is_none(self):
        assert len(self.merged(strip(0, 10), strip(10, 20))) == 2

    def test_a_mask_joins_all_that_hold_it(self):
        assert self.merged(strip(0, 5), strip(4, 9), strip(4, 6)) == [[0, 8]]


@pytest.mark.parametrize(("name", "value"), [("tau", 2), ("stride", 0), ("merge_overlap", -0.1)])
def test_settings_out_of_range_are_refused(name: str, value: float):
    with pytest.raises(InputError, match=f"{name} {value} is outside"):
        ProMergeSettings(**{name: value})
