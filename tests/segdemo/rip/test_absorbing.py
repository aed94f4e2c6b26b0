"""Scribbles on empty ground: the seed that a random walk meets first."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdemo.datatypes import InputError
from segdemo.rip.absorbing import CROSSING, LEAST, first_seed


def relaxed(area: np.ndarray, seeds: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Average over the neighbours of every free pixel until nothing changes: (S, H, W) chances."""
    numbers = np.unique(seeds[seeds > 0])
    edge = np.where(seeds > 0, 0, edge).astype(np.float64)
    chances = np.stack([seeds == number for number in numbers]).astype(float)
    height, width = area.shape
    for _ in range(400):
        for y, x in np.argwhere(area & (seeds == 0)):
            total, mean = 0.0, np.zeros(len(numbers))
            for j, i in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= j < height and 0 <= i < width and area[j, i]:
                    weight = np.exp(-CROSSING * max(edge[y, x], edge[j, i])) + LEAST
                    total += weight
                    mean += weight * chances[:, j, i]
            chances[:, y, x] = mean / total
    return chances


def test_each_pixel_goes_where_averaging_over_neighbours_ends() -> None:
    random = np.random.default_rng(3)
    area = np.ones((7, 9), bool)
    area[0, :3] = False
    edge = random.uniform(0, 0.15, area.shape).astype(np.float32)
    seeds = np.zeros(area.shape, np.int32)
    seeds[2, 1], seeds[4, 7], seeds[6, 0] = 4, 7, 9
    chances = relaxed(area, seeds, edge)
    expected = np.where(area, np.array([4, 7, 9])[chances.argmax(0)], 0)
    first, second = np.sort(chances, 0)[::-1][:2]
    clear = first - second > 0.02
    np.testing.assert_array_equal(first_seed(area, seeds, edge)[clear], expected[clear])


@pytest.fixture
def discs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two discs with gaps in their outlines, on ground that a stroke along the top marks."""
    rows, columns = np.mgrid[:240, :400]
    truth = np.zeros((240, 400), np.int32)
    truth[np.hypot(columns - 130, rows - 130) < 70] = 1
    truth[np.hypot(columns - 275, rows - 130) < 70] = 2
    edge = np.zeros(truth.shape, np.float32)
    for number in (1, 2):
        edge[ndimage.binary_dilation(truth == number, iterations=2) & (truth != number)] = 0.9
    edge[120:128] = 0
    seeds = np.zeros(truth.shape, np.int32)
    seeds[110:150, 118:124], seeds[128:134, 250:290], seeds[8:14] = 1, 2, 3
    return truth, edge, seeds


def test_objects_fill_their_outlines_and_hang_together(
    discs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    truth, edge, seeds = discs
    owner = first_seed(np.ones(truth.shape, bool), seeds, edge)
    np.testing.assert_array_equal(owner[seeds > 0], seeds[seeds > 0])
    for number in (1, 2):
        part, whole = owner == number, truth == number
        assert (part & whole).sum() / (part | whole).sum() > 0.9
        assert ndimage.label(part)[1] == 1


def test_nothing_is_drawn_inside_what_is_not_free(
    discs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    truth, edge, seeds = discs
    owner = first_seed(truth != 1, seeds, edge)
    assert not owner[truth == 1].any()
    assert (owner[truth != 1] > 0).all()


def test_a_place_without_a_way_to_a_seed_goes_to_the_nearest() -> None:
    area = np.ones((20, 60), bool)
    area[:, 40:44] = False
    seeds = np.zeros(area.shape, np.int32)
    seeds[10, 5], seeds[10, 30] = 1, 2
    owner = first_seed(area, seeds, np.zeros(area.shape, np.float32))
    assert (owner[:, 44:] == 2).all()


def test_one_stroke_and_other_sizes_are_refused() -> None:
    area, edge = np.ones((9, 9), bool), np.zeros((9, 9), np.float32)
    seeds = np.zeros((9, 9), np.int32)
    seeds[1, 1] = 1
    with pytest.raises(InputError, match="at least two"):
        first_seed(area, seeds, edge)
    with pytest.raises(InputError, match="differ in size"):
        first_seed(area, seeds, edge[1:])
