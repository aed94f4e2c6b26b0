"""Scribbles divide a mask along its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdemo.datatypes import InputError
from segdemo.rip.seeded import split_by_seeds


@pytest.fixture
def bar() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bar whose edge stands at a third of it, and a seed at each end."""
    mask = np.zeros((80, 200), bool)
    mask[20:60, 10:190] = True
    edge = np.zeros(mask.shape, np.float32)
    edge[:, 70:72] = 0.9
    seeds = np.zeros(mask.shape, np.int32)
    seeds[38:42, 20:24], seeds[38:42, 170:174] = 5, 9
    return mask, edge, seeds


def test_the_border_lies_on_the_edge_not_half_way(
    bar: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    mask, edge, seeds = bar
    parts = split_by_seeds(mask, seeds, edge)
    assert set(np.unique(parts)) == {0, 5, 9}
    np.testing.assert_array_equal(parts > 0, mask)
    expected = np.where(np.arange(200) < 71, 5, 9) * mask
    assert (parts == expected)[mask].mean() > 0.98


def test_without_an_edge_the_border_lies_half_way(
    bar: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    mask, edge, seeds = bar
    parts = split_by_seeds(mask, seeds, np.zeros_like(edge))
    share = (parts == 5).sum() / mask.sum()
    assert 0.4 < share < 0.6


def test_a_part_behind_a_closed_edge_goes_to_the_nearest(
    bar: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    mask, edge, seeds = bar
    edge[:, 70:72] = edge[:, 130:132] = 1  # nobody's seed lies between
    parts = split_by_seeds(mask, seeds, edge)
    np.testing.assert_array_equal(parts > 0, mask)
    assert (parts[:, :70][mask[:, :70]] == 5).all()
    assert (parts[:, 132:][mask[:, 132:]] == 9).all()


def test_seeds_keep_their_own_pixels(bar: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    mask, edge, seeds = bar
    seeds[25, 60:80] = 7  # a scribble across the edge
    parts = split_by_seeds(mask, seeds, edge)
    np.testing.assert_array_equal(parts[seeds > 0], seeds[seeds > 0])


def test_no_part_has_an_island_in_another(
    bar: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    mask, edge, seeds = bar
    random = np.random.default_rng(1)
    edge[:] = np.where(random.uniform(size=edge.shape) < 0.02, 1, 0)
    edge = ndimage.grey_dilation(edge, (7, 7)) * random.uniform(0.2, 1, edge.shape)
    parts = split_by_seeds(mask, seeds, edge.astype(np.float32))
    for number in (5, 9):
        assert ndimage.label(parts == number)[1] == 1


def test_one_seed_is_not_enough(bar: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    mask, edge, seeds = bar
    seeds[seeds == 9] = 0
    seeds[0, 0] = 9  # outside the mask
    with pytest.raises(InputError, match="at least two"):
        split_by_seeds(mask, seeds, edge)
