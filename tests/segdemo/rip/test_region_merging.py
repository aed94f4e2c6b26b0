"""The careful way: a mask changes only where a whole border stands out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segdemo.rip.refine import refine, refine_labels
from segdemo.rip.semantic import refine_semantic
from segdemo.rip.settings import CAREFUL
from tests.segdemo.rip import scenes


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture
def touching() -> tuple[np.ndarray, np.ndarray]:
    """Labels of two squares that touch, in a picture with a small and a tiny one; their edges."""
    labels = np.zeros((240, 320), np.int32)
    labels[60:160, 40:140], labels[60:160, 140:250] = 1, 2
    labels[10:20, 10:22], labels[200:203, 300:304] = 3, 4
    return labels, scenes.true_edges(labels)


def clutter(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Return strokes of many directions and strengths that mean nothing."""
    rng = np.random.default_rng(seed)
    edge = np.zeros(size, np.float32)
    for _ in range(60):
        y, x, angle = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0, np.pi)
        along = np.arange(rng.uniform(10, 60))
        rows = (y + along * np.sin(angle)).astype(int)
        columns = (x + along * np.cos(angle)).astype(int)
        held = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
        edge[rows[held], columns[held]] = rng.uniform(0.3, 1)
    return edge


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_edge_map_of_one_value_changes_nothing(
    touching: tuple[np.ndarray, np.ndarray], value: float
) -> None:
    labels = np.minimum(touching[0] * (touching[0] != 2), 3)  # nothing touches
    result = refine_labels(labels, np.full(labels.shape, value, np.float32), settings=CAREFUL)
    np.testing.assert_array_equal(result.labels > 0, labels > 0)
    assert result.split == ()
    assert {source for source in result.sources} == {(0,), (2,)}


def test_a_merged_mask_is_split_along_a_strong_edge(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = touching
    result = refine(((labels == 1) | (labels == 2))[None], edge, settings=CAREFUL)
    assert result.split == (0,)
    assert result.sources == ((0,), (0,))
    for number in (1, 2):
        assert max(iou(mask, labels == number) for mask in result.masks) > 0.97
    np.testing.assert_array_equal(result.labels > 0, (labels == 1) | (labels == 2))


def test_an_edge_with_gaps_among_clutter_still_splits(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = touching
    edge = edge.copy()
    edge[85:95], edge[120:128] = 0, 0
    merged = (labels == 1) | (labels == 2)
    result = refine(merged[None], np.maximum(edge, 0.5 * clutter(edge.shape)), settings=CAREFUL)
    assert len(result.sources) == 2
    for number in (1, 2):
        assert max(iou(mask, labels == number) for mask in result.masks) > 0.95


def test_a_stroke_that_does_not_cross_the_mask_cuts_nothing(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, _ = touching
    edge = np.zeros(labels.shape, np.float32)
    edge[60:100, 90:92] = 1
    result = refine((labels == 1)[None], edge, settings=CAREFUL)
    np.testing.assert_array_equal(result.masks, (labels == 1)[None])


@pytest.mark.parametrize("seed", range(2))
def test_false_strokes_leave_masks_byte_for_byte(
    touching: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    labels, true = touching
    masks = scenes.instances(labels)
    edge = np.maximum(true, 0.7 * clutter(labels.shape, seed))
    result = refine(masks, edge, settings=CAREFUL)
    np.testing.assert_array_equal(result.masks, masks)
    assert result.sources == tuple((n,) for n in range(len(masks)))


def test_doubtful_masks_rank_behind_clear_ones() -> None:
    labels = np.zeros((120, 240), np.int32)
    for number in range(4):
        labels[30:90, 60 * number + 6 : 60 * number + 54] = number + 1
    edge = np.zeros(labels.shape, np.float32)
    for number, strength in enumerate((0.0, 0.4, 0.6, 1.0)):
        middle = 60 * number + 30
        edge[30:90, middle - 1 : middle + 1] = strength
    result = refine(scenes.instances(labels), edge, np.full(4, 0.8), CAREFUL)
    assert len(result.scores) == 5  # the last was cut
    clear, fair, doubtful, *pieces = result.scores
    assert clear == pytest.approx(0.8)
    assert clear > fair > doubtful > 0
    assert max(pieces) < clear


def test_small_masks_survive_and_keep_their_scores(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = touching
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    result = refine(scenes.instances(labels), edge, scores, CAREFUL)
    assert result.dropped == ()
    np.testing.assert_allclose(result.scores, scores, rtol=0.03)  # touching ones lose a little
    np.testing.assert_array_equal(result.masks[3], labels == 4)


def in_halves(labels: np.ndarray) -> np.ndarray:
    """Cut masks (H, W) at the middle of each, two rows lost: (N, H, W)."""
    halves = []
    for number in np.unique(labels)[1:]:
        mask = labels == number
        middle = int(np.argwhere(mask)[:, 0].mean())
        upper, lower = mask.copy(), mask.copy()
        upper[middle:], lower[: middle + 2] = False, False
        halves += [upper, lower]
    return np.array(halves)


def test_fragments_join_and_objects_that_touch_do_not(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = touching
    labels = np.where(labels > 2, 0, labels)
    halves = in_halves(labels)
    result = refine(halves, edge, settings=CAREFUL)
    assert result.sources == ((0, 1), (2, 3))
    np.testing.assert_array_equal(result.masks, [labels == 1, labels == 2])  # the gaps as well
    apart = refine(halves, edge, settings=replace(CAREFUL, join_probability=1))
    assert len(apart.sources) == 4
    assert result.scores.min() > apart.scores.max() / 2
    whole = refine_labels(labels, edge, settings=CAREFUL)
    assert whole.sources == ((0,), (1,))
    large = refine(
        halves.repeat(4, 1).repeat(4, 2), edge.repeat(4, 0).repeat(4, 1), settings=CAREFUL
    )
    assert large.sources == result.sources  # whatever the resolution


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_edges_that_know_no_mask_join_nothing(
    touching: tuple[np.ndarray, np.ndarray], value: float
) -> None:
    halves = in_halves(touching[0])
    result = refine(halves, np.full(touching[0].shape, value, np.float32), settings=CAREFUL)
    assert all(len(source) == 1 for source in result.sources)


def test_of_masks_that_overlap_the_smaller_lies_in_front(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, _ = touching
    small, large = labels == 1, labels > 0
    edge = scenes.true_edges(labels)
    result = refine(np.stack([large, small]), edge, settings=CAREFUL)
    np.testing.assert_array_equal(result.masks[result.sources.index((1,))], small)


def test_a_mask_in_several_places_stays_one_but_a_class_is_parted(
    touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, _ = touching
    edge = np.zeros(labels.shape, np.float32)
    apart = (labels == 1) | (labels == 3)
    assert refine(apart[None], edge, settings=CAREFUL).sources == ((0,),)
    found = refine_semantic(apart.astype(np.int64), edge, {1}, settings=CAREFUL)
    assert found.things == 2


def test_the_whole_picture_and_tiny_pictures() -> None:
    for size in ((1, 1), (1, 50), (40, 3), (130, 131)):
        for value in (0.0, 1.0):
            result = refine(
                np.ones((1, *size), bool), np.full(size, value, np.float32), settings=CAREFUL
            )
            assert result.labels.all()
            assert result.sources == ((0,),)


def test_no_masks_and_empty_ones() -> None:
    edge = np.zeros((50, 60), np.float32)
    none = refine(np.zeros((0, 50, 60), bool), edge, settings=CAREFUL)
    assert none.masks.shape == (0, 50, 60)
    empty = refine(np.zeros((2, 50, 60), bool), edge, settings=CAREFUL)
    assert empty.dropped == (0, 1)
