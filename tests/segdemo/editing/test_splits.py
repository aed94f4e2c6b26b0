"""Splits keep every pixel of the instance and touch no other."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.editing.splits import (
    split_among_seeds,
    split_by_edges,
    split_by_line,
    split_components,
)


def two_discs(bridge: bool = True) -> np.ndarray:
    """Two discs of radius 14 that overlap a little, as one instance 4, beside another, 9."""
    y, x = np.mgrid[:60, :90]
    labels = np.zeros((60, 90), np.uint16)
    apart = 26 if bridge else 34
    labels[(x - 20) ** 2 + (y - 30) ** 2 <= 196] = 4
    labels[(x - 20 - apart) ** 2 + (y - 30) ** 2 <= 196] = 4
    labels[:, 80:] = 9
    return labels


def assert_divided(before: np.ndarray, after: np.ndarray, parts: int) -> None:
    inside = before == 4
    assert (after[~inside] == before[~inside]).all()
    assert (after[inside] > 0).all()
    assert len(np.unique(after[inside])) == parts
    assert (after == 4).sum() == max((after == n).sum() for n in np.unique(after[inside]))


def test_separate_pieces_become_instances():
    labels = two_discs(bridge=False)
    after = split_components(labels, 4)
    assert_divided(labels, after, 2)
    assert (after[30, 20], after[30, 54]) in {(4, 10), (10, 4)}


def test_a_drawn_line_splits_wherever_it_wanders():
    labels = two_discs()
    after = split_by_line(labels, 4, [(33.4, -5), (31, 30), (36, 31), (33, 70)])
    assert_divided(labels, after, 2)
    assert after[30, 20] != after[30, 46]


def test_a_line_that_crosses_twice_gives_three_parts():
    labels = two_discs()
    after = split_by_line(labels, 4, [(15, 0), (15, 60), (45, 60), (45, 0)])
    assert_divided(labels, after, 3)


def test_a_line_beside_the_instance_is_refused():
    with pytest.raises(InputError, match="No split"):
        split_by_line(two_discs(), 4, [(70, 0), (70, 60)])


def test_edges_split_from_their_threshold_on():
    labels = two_discs()
    edge = np.zeros(labels.shape, np.float32)
    edge[:, 33] = 0.4
    after = split_by_edges(labels, 4, edge, 0.4)
    assert_divided(labels, after, 2)
    with pytest.raises(InputError, match="No split"):
        split_by_edges(labels, 4, edge, 0.41)


def test_seeds_divide_at_the_edge_between_them():
    labels = two_discs()
    edge = np.zeros(labels.shape, np.float32)
    edge[:, 33] = 1
    after = split_among_seeds(labels, 4, [[(12, 30), (16, 34)], [(50, 28)]], 2, edge)
    assert_divided(labels, after, 2)
    left = np.zeros(labels.shape, bool)
    left[:, :33] = True
    first = after == after[30, 12]
    assert (first & left).sum() > 0.97 * ((labels == 4) & left).sum()
    assert (first & ~left).sum() < 0.05 * ((labels == 4) & ~left).sum()


def test_seeds_work_without_edges_and_need_two():
    labels = two_discs()
    assert_divided(labels, split_among_seeds(labels, 4, [[(12, 30)], [(50, 28)]], 2), 2)
    with pytest.raises(InputError, match="at least two"):
        split_among_seeds(labels, 4, [[(12, 30)], [(70, 5)]], 2)


def test_an_instance_without_pixels_is_named():
    with pytest.raises(InputError, match="Instance 5 has no pixels"):
        split_components(two_discs(), 5)


def test_numbers_run_out_with_a_sentence():
    labels = two_discs(bridge=False)
    labels[0, 89] = 65535
    with pytest.raises(InputError, match="at most 65535"):
        split_components(labels, 4)
