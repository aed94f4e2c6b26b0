"""RIP repairs merged and fragmented masks, and says what it did."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.rip.refine import refine
from segdemo.rip.settings import PAPER, ROBUST, RIPSettings
from tests.segdemo.rip import scenes

COUNT = 10


def _precision(
    damage: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    settings: RIPSettings,
    gaps: float = 0.0,
    scene: Callable[[int], np.ndarray] = scenes.make_scene,
) -> tuple[float, float]:
    """Return AP before and after, over `COUNT` scenes."""
    truths, before, after, scores = [], [], [], []
    for seed in range(COUNT):
        labels, rng = scene(seed), np.random.default_rng(10_000 + seed)
        masks = damage(labels, rng)
        edge = scenes.with_gaps(scenes.true_edges(labels), gaps, rng)
        result = refine(masks, edge, settings=settings)
        truths.append(scenes.instances(labels))
        before.append(masks)
        after.append(result.masks)
        scores.append(result.scores)
    plain = [np.ones(len(masks)) for masks in before]
    return (
        scenes.average_precision(truths, before, plain),
        scenes.average_precision(truths, after, scores),
    )


def _merged(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return scenes.merged(labels)


def _fragmented(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return scenes.fragmented(scenes.instances(labels), rng)


def _both(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return scenes.fragmented(scenes.merged(labels), rng)


@pytest.mark.parametrize("settings", [PAPER, ROBUST], ids=["paper", "robust"])
@pytest.mark.parametrize(
    ("damage", "bar"), [(_merged, 95), (_fragmented, 93), (_both, 93)], ids=["A", "B", "AB"]
)
def test_true_edges_repair_masks(
    damage: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    bar: float,
    settings: RIPSettings,
) -> None:
    before, after = _precision(damage, settings)
    assert before < 30
    assert after >= bar


@pytest.mark.parametrize(
    ("damage", "gaps", "bar"),
    [(_merged, 0.1, 86), (_fragmented, 0.1, 86), (_both, 0.2, 82)],
    ids=["A", "B", "AB"],
)
def test_the_robust_preset_bears_gaps(
    damage: Callable[[np.ndarray, np.random.Generator], np.ndarray], gaps: float, bar: float
) -> None:
    _, after = _precision(damage, ROBUST, gaps=gaps)
    assert after >= bar


@pytest.mark.parametrize(("settings", "bar"), [(PAPER, 90), (ROBUST, 72)], ids=["paper", "robust"])
def test_necks_are_not_taken_for_gaps(settings: RIPSettings, bar: float) -> None:
    _, after = _precision(_fragmented, settings, scene=scenes.make_necked_scene)
    assert after >= bar


@pytest.fixture
def two_touching() -> tuple[np.ndarray, np.ndarray]:
    """Labels of two squares that touch, and the edge around and between them."""
    labels = np.zeros((120, 160), np.int32)
    labels[30:90, 20:80], labels[30:90, 80:140] = 1, 2
    return labels, scenes.true_edges(labels)


def test_a_merged_mask_is_split_and_told(two_touching: tuple[np.ndarray, np.ndarray]) -> None:
    labels, edge = two_touching
    result = refine((labels > 0)[None], edge)
    assert result.split == (0,)
    assert result.sources == ((0,), (0,))
    assert result.dropped == ()
    for mask in result.masks:
        best = max((mask & (labels == k)).sum() / (mask | (labels == k)).sum() for k in (1, 2))
        assert best > 0.95


def test_fragments_are_merged_and_told(two_touching: tuple[np.ndarray, np.ndarray]) -> None:
    labels, edge = two_touching
    upper, lower = labels == 1, labels == 1
    upper[58:], lower[:62] = False, False
    result = refine(np.stack([upper, lower, labels == 2]), edge)
    assert result.sources == ((0, 1), (2,))
    assert result.split == result.dropped == ()
    assert [merge.iou > 0.5 for merge in result.merges] == [True]


def test_a_speck_is_dropped_and_told(two_touching: tuple[np.ndarray, np.ndarray]) -> None:
    labels, edge = two_touching
    speck = np.zeros(labels.shape, bool)
    speck[5:7, 5:7] = True
    result = refine(np.stack([labels == 1, speck]), edge)
    assert result.dropped == (1,)
    assert len(result.masks) == 1


@pytest.mark.parametrize("settings", [PAPER, ROBUST], ids=["paper", "robust"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_edge_map_of_one_value_is_no_error(value: float, settings: RIPSettings) -> None:
    masks = np.zeros((2, 50, 60), bool)
    masks[0, 10:40, 10:40] = True
    result = refine(masks, np.full((50, 60), value, np.float32), settings=settings)
    if value == 0:  # nothing stops the walk: one mask stays one instance
        assert result.sources == ((0,),)
    else:  # everything is edge: nothing is inside
        assert result.sources == ()
    assert 1 in result.dropped


@pytest.mark.parametrize("settings", [PAPER, ROBUST], ids=["paper", "robust"])
def test_none_and_many_masks(
    two_touching: tuple[np.ndarray, np.ndarray], settings: RIPSettings
) -> None:
    labels, edge = two_touching
    none = refine(np.zeros((0, *edge.shape), bool), edge, settings=settings)
    assert none.masks.shape == (0, *edge.shape)
    many = refine(np.repeat((labels == 1)[None], 500, 0), edge, settings=settings)
    assert many.sources == (tuple(range(500)),)


@pytest.mark.parametrize("settings", [PAPER, ROBUST], ids=["paper", "robust"])
def test_masks_at_the_border_reach_it(settings: RIPSettings) -> None:
    labels = np.zeros((120, 160), np.int32)
    labels[:60, :70], labels[60:, 70:] = 1, 2
    result = refine(scenes.instances(labels), scenes.true_edges(labels), settings=settings)
    assert result.sources == ((0,), (1,))
    for mask, truth in zip(result.masks, scenes.instances(labels), strict=True):
        assert (mask & truth).sum() / (mask | truth).sum() > 0.95


@pytest.mark.parametrize("settings", [PAPER, ROBUST], ids=["paper", "robust"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_of_the_whole_picture_and_tiny_pictures(value: float, settings: RIPSettings) -> None:
    for size in ((1, 1), (1, 50), (40, 3), (130, 131)):
        masks, edge = np.ones((1, *size), bool), np.full(size, value, np.float32)
        result = refine(masks, edge, settings=settings)
        assert len(result.sources) == (value == 0)
        assert result.labels.all() == (value == 0)


def test_scores_weigh_in_and_follow_their_masks(
    two_touching: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = two_touching
    scores = np.array([0.9, 0.4])
    result = refine(scenes.instances(labels), edge, scores)
    np.testing.assert_allclose(result.scores, scores, rtol=0.02)


@pytest.mark.parametrize(
    ("masks", "edge", "scores", "words"),
    [
        (np.zeros((1, 4, 4), np.uint8), np.zeros((4, 4), np.float32), None, "expected bool"),
        (np.zeros((1, 4, 4), bool), np.zeros((4, 5), np.float32), None, "5 x 4.*4 x 4"),
        (np.zeros((1, 4, 4), bool), np.full((4, 4), 2, np.float32), None, "0 to 1"),
        (np.zeros((1, 4, 4), bool), np.full((4, 4), np.nan, np.float32), None, "0 to 1"),
        (np.zeros((1, 4, 4), bool), np.zeros((4, 4), np.float32), np.ones(2), "one each"),
    ],
)
def test_bad_input_is_told_in_one_sentence(
    masks: np.ndarray, edge: np.ndarray, scores: np.ndarray | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        refine(masks, edge, scores)
