"""First instances: a soft mask of the subject, cut along edges."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.rip.settings import PRESETS
from segdemo.rip.subject import subject_parts


@pytest.fixture
def bar() -> tuple[np.ndarray, np.ndarray]:
    """A bar of which the left third is surer than the rest, and the edge between them."""
    mask = np.zeros((90, 240), np.float32)
    mask[20:70, 10:90], mask[20:70, 90:230] = 0.9, 0.7
    edge = np.zeros_like(mask)
    edge[:, 88:92] = 1
    return mask, edge


@pytest.mark.parametrize("preset", PRESETS)
def test_an_edge_cuts_the_mask_where_it_runs(bar: tuple[np.ndarray, np.ndarray], preset: str):
    mask, edge = bar
    parts = subject_parts(mask, edge, settings=PRESETS[preset])
    assert len(parts) == 2
    np.testing.assert_array_equal(parts.masks.sum(0), mask > 0.5)
    for part, columns in zip(parts.masks, (slice(10, 90), slice(90, 230)), strict=True):
        expected = np.zeros_like(part)
        expected[20:70, columns] = True
        assert (part & expected).sum() / (part | expected).sum() > 0.95


def test_the_score_is_the_mean_of_the_mask(bar: tuple[np.ndarray, np.ndarray]):
    parts = subject_parts(*bar)
    for part, score in zip(parts.masks, parts.scores, strict=True):
        assert score == pytest.approx(bar[0][part].mean(), abs=1e-6)
    assert parts.scores.max() == pytest.approx(0.9, abs=0.02)


def test_the_threshold_decides_what_belongs(bar: tuple[np.ndarray, np.ndarray]):
    (part,) = subject_parts(*bar, threshold=0.8).masks
    np.testing.assert_array_equal(part, bar[0] > 0.8)


def test_without_edges_parts_are_the_connected_regions():
    mask = np.zeros((128, 200), np.float32)
    mask[10:50, 10:60] = mask[30:33, 60:100] = mask[10:50, 100:150] = 1  # joined by a narrow neck
    mask[70:120, 20:180] = 1
    parts = subject_parts(mask, np.zeros_like(mask))
    areas = sorted(parts.areas)
    assert areas == [40 * 50 * 2 + 3 * 40, 50 * 160]


def test_a_thin_region_beside_an_edge_is_kept_whole():
    mask = np.zeros((128, 128), np.float32)
    mask[60:64, 10:118] = 1
    edge = np.zeros_like(mask)
    edge[58:60] = edge[64:66] = 1
    (part,) = subject_parts(mask, edge).masks
    np.testing.assert_array_equal(part, mask > 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_where_all_is_edge_every_region_is_one_part(preset: str):
    mask = np.zeros((100, 300), np.float32)
    mask[20:80, 20:120] = mask[20:80, 150:280] = 1
    parts = subject_parts(mask, np.ones_like(mask), settings=PRESETS[preset])
    assert sorted(parts.areas) == [60 * 100, 60 * 130]


def test_an_empty_mask_has_no_parts():
    empty = np.zeros((40, 60), np.float32)
    assert subject_parts(empty, empty).masks.shape == (0, 40, 60)


def test_the_whole_picture_is_one_part_without_edges():
    full = np.ones((37, 61), np.float32)
    (part,) = subject_parts(full, np.zeros_like(full)).masks
    assert part.all()


def test_crumbs_go_to_the_nearest_part():
    mask = np.zeros((200, 200), np.float32)
    mask[50:100, 20:60] = mask[50:100, 140:180] = 1
    mask[70, 110], mask[75, 70] = 1, 1
    parts = subject_parts(mask, np.zeros_like(mask))
    left, right = parts.masks if parts.masks[0, 60, 30] else parts.masks[::-1]
    assert left[75, 70] and right[70, 110]
    assert parts.areas.tolist() == [50 * 40 + 1] * 2


def test_only_crumbs_are_all_kept():
    mask = np.zeros((200, 200), np.float32)
    mask[10, 10] = mask[190, 190] = 1
    parts = subject_parts(mask, np.zeros_like(mask))
    assert parts.areas.tolist() == [1, 1]


@pytest.mark.parametrize("preset", ["robust", "careful"])
@pytest.mark.parametrize("size", [(1, 50), (60, 37)])
def test_parts_always_make_up_the_mask(size: tuple[int, int], preset: str):
    noise = np.random.default_rng(0)
    mask = noise.random(size).astype(np.float32)
    edge = noise.random(size).astype(np.float32) ** 4
    parts = subject_parts(mask, edge, settings=PRESETS[preset])
    np.testing.assert_array_equal(parts.masks.sum(0), mask > 0.5)
    assert (parts.areas > 0).all()


def test_wrong_maps_are_refused():
    mask = np.zeros((8, 8), np.float32)
    with pytest.raises(InputError, match="one size"):
        subject_parts(mask, np.zeros((8, 9), np.float32))
    with pytest.raises(InputError, match="edge map must hold"):
        subject_parts(mask, mask + 2)
    with pytest.raises(InputError, match="mask must hold"):
        subject_parts(mask - 1, mask)
