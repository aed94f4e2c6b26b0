"""Gaps in edges are closed; necks, corners and open space are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdemo.rip.gaps import close_gaps

WIDEST = 8


def regions(edge: np.ndarray) -> int:
    return int(ndimage.label(edge < 0.5)[1])


@pytest.fixture
def ring() -> np.ndarray:
    """A square ring of edge, one cell wide, in the middle of a picture."""
    edge = np.zeros((60, 80), np.float32)
    edge[10:50, 20:60] = 1
    edge[11:49, 21:59] = 0
    return edge


@pytest.mark.parametrize(("width", "turned"), [(1, False), (4, True), (6, False), (6, True)])
def test_a_gap_in_a_line_is_closed(ring: np.ndarray, width: int, turned: bool) -> None:
    ring[28 : 28 + width, 20] = 0
    edge = ring.T.copy() if turned else ring
    closed = close_gaps(edge, 0.5, WIDEST)
    assert regions(edge) == 1
    assert regions(closed) == 2
    added = closed != edge
    assert added.sum() <= width + 3
    assert (closed[added] == 1).all()


def test_a_wide_opening_stays_open(ring: np.ndarray) -> None:
    ring[20:40, 20] = 0
    np.testing.assert_array_equal(close_gaps(ring, 0.5, WIDEST), ring)


def test_several_gaps_and_dashes_are_closed(ring: np.ndarray) -> None:
    ring[26:29, 20] = ring[31:34, 20] = ring[10, 36:40] = 0
    assert regions(close_gaps(ring, 0.5, WIDEST)) == 2


def test_the_neck_of_a_shape_stays_open() -> None:
    inside = np.zeros((60, 110), bool)
    inside[10:50, 10:45] = inside[10:50, 65:100] = inside[27:33, 45:65] = True
    edge = (ndimage.binary_dilation(inside) & ~inside).astype(np.float32)
    closed = close_gaps(edge, 0.5, WIDEST)
    assert regions(edge) == regions(closed) == 2


def test_a_closed_ring_gets_no_walls(ring: np.ndarray) -> None:
    np.testing.assert_array_equal(close_gaps(ring, 0.5, WIDEST), ring)


def test_soft_values_below_the_cut_stay_and_nothing_is_changed_in_place(ring: np.ndarray) -> None:
    ring[28:31, 20] = 0.3
    before = ring.copy()
    closed = close_gaps(ring, 0.5, WIDEST)
    np.testing.assert_array_equal(ring, before)
    assert regions(closed) == 2
    assert closed.dtype == np.float32
    assert (closed >= ring).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (30, 40)])
def test_maps_of_one_value_stay_as_they_are(value: float, shape: tuple[int, int]) -> None:
    edge = np.full(shape, value, np.float32)
    np.testing.assert_array_equal(close_gaps(edge, 0.5, WIDEST), edge)


def test_nothing_is_closed_at_width_0(ring: np.ndarray) -> None:
    ring[28:31, 20] = 0
    np.testing.assert_array_equal(close_gaps(ring, 0.5, 0), ring)
