"""Instances as masks and as one map of numbers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdemo.datatypes import Front, InputError, InstanceMasks
from tests.segdemo.annotations.drawing import drawn, instances

BIG, SMALL = drawn("####", "####"), drawn(".##.", "....")


def pair(scores: tuple[float, float] = (1, 1)) -> InstanceMasks:
    """Return a small instance behind a large one, by their order."""
    return InstanceMasks(np.stack([SMALL, BIG]), np.array(scores, np.float32))


@pytest.mark.parametrize(
    ("front", "scores", "in_front"),
    [
        ("smaller", (0.1, 0.9), 1),
        ("later", (0.9, 0.1), 2),
        ("score", (0.1, 0.9), 2),
        ("score", (0.9, 0.1), 1),
        ("score", (0.5, 0.5), 1),
    ],
)
def test_the_rule_says_who_keeps_shared_pixels(
    front: Front, scores: tuple[float, float], in_front: int
):
    laid = pair(scores).to_label_map(front)
    assert laid.labels[0, 1] == in_front
    assert laid.labels[1, 1] == 2
    assert laid.overlapped == 2
    assert laid.hidden == ((0,) if in_front == 2 else ())


def test_crowds_lie_behind_all_others():
    crowd = np.array([True, False])
    laid = InstanceMasks.unscored(np.stack([SMALL, BIG]), crowd=crowd).to_label_map()
    assert (laid.labels == 2).all()


def test_a_pixel_that_three_claim_counts_once():
    laid = InstanceMasks.unscored(np.stack([BIG, BIG, BIG])).to_label_map()
    assert laid.overlapped == 8
    assert laid.hidden == (0, 1)
    assert (laid.labels == 3).all()


def test_no_instances_make_an_empty_map():
    none = InstanceMasks.unscored(np.zeros((0, 2, 3), np.bool_))
    assert len(none) == 0
    assert none.size == (2, 3)
    assert none.areas.shape == (0,)
    laid = none.to_label_map()
    assert laid.labels.shape == (2, 3)
    assert not laid.labels.any()
    assert len(InstanceMasks.from_label_map(laid.labels)) == 0


def test_numbers_become_instances_in_rising_order():
    found = InstanceMasks.from_label_map(np.array([[0, 900, 7], [7, 7, 0]], np.uint16))
    np.testing.assert_array_equal(found.areas, [3, 1])


@given(instances(), st.sampled_from(["smaller", "later", "score"]))
def test_a_map_made_of_instances_gives_the_map_again(found: InstanceMasks, front: Front):
    laid = found.to_label_map(front)
    again = InstanceMasks.from_label_map(laid.labels).to_label_map(front)
    assert again.overlapped == 0
    np.testing.assert_array_equal(again.labels > 0, found.masks.any(0))
    assert len(np.unique(laid.labels[laid.labels > 0])) == len(found) - len(laid.hidden)
    assert laid.overlapped == (found.masks.sum(0) > 1).sum()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"masks": np.zeros((2, 3), np.bool_)}, "masks are bool"),
        ({"masks": np.zeros((1, 0, 3), np.bool_)}, "masks are bool"),
        ({"masks": np.zeros((1, 2, 3), np.uint8)}, "masks are uint8"),
        ({"scores": np.ones(2, np.float32)}, "scores are float32"),
        ({"scores": np.ones(1)}, "scores are float64"),
        ({"scores": np.array([np.nan], np.float32)}, "not numbers"),
        ({"category_ids": np.ones(1, np.int32)}, "category_ids are int32"),
        ({"category_ids": np.array([-1])}, "below 0"),
        ({"crowd": np.zeros(3, np.bool_)}, "crowd are bool"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields: dict[str, np.ndarray], said: str):
    good = {"masks": np.zeros((1, 2, 3), np.bool_), "scores": np.ones(1, np.float32)}
    with pytest.raises(InputError, match=said):
        InstanceMasks(**{**good, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [np.zeros((2, 2)), np.array([[-1]]), np.zeros((1, 2, 2), int)])
def test_labels_that_are_no_map_of_ids_are_refused(labels: np.ndarray):
    with pytest.raises(InputError, match="labels"):
        InstanceMasks.from_label_map(labels)


def test_instances_can_be_copied_as_a_session_does():
    found = InstanceMasks.unscored(SMALL[None], np.array([3]), {3: "cat"})
    assert copy.deepcopy(found).names == {3: "cat"}


def test_arrays_are_read_only():
    found = pair()
    for values in (found.masks, found.scores, found.to_label_map().labels):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0
