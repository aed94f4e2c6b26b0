"""Division among seeds, and the numbers of what is new."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import InputError
from segdemo.editing.seeds import instances_of_seeds, new_ids, split_among_seeds
from tests.segdemo.editing.edit_cases import EDIT_CASES


def two_discs() -> np.ndarray:
    """Two discs of radius 14 that overlap a little, as one instance 4, beside another, 9."""
    y, x = np.mgrid[:60, :90]
    labels = np.zeros((60, 90), np.uint16)
    labels[(x - 20) ** 2 + (y - 30) ** 2 <= 196] = 4
    labels[(x - 46) ** 2 + (y - 30) ** 2 <= 196] = 4
    labels[:, 80:] = 9
    return labels


def assert_divided(before: np.ndarray, after: np.ndarray, parts: int) -> None:
    inside = before == 4
    assert (after[~inside] == before[~inside]).all()
    assert (after[inside] > 0).all()
    assert len(np.unique(after[inside])) == parts
    assert (after == 4).sum() == max((after == n).sum() for n in np.unique(after[inside]))


def test_seeds_divide_at_the_edge_between_them():
    labels = two_discs()
    edge = np.zeros(labels.shape, np.float32)
    edge[:, 33] = 1
    after = split_among_seeds(labels, [4], [[(12, 30), (16, 34)], [(50, 28)]], 2, edge)
    assert_divided(labels, after, 2)
    left = np.zeros(labels.shape, bool)
    left[:, :33] = True
    first = after == after[30, 12]
    assert (first & left).sum() > 0.97 * ((labels == 4) & left).sum()
    assert (first & ~left).sum() < 0.05 * ((labels == 4) & ~left).sum()


def test_seeds_work_without_edges_and_need_two():
    labels = two_discs()
    after = split_among_seeds(labels, [4], [[(12, 30)], [(50, 28)]], 2, highest=20)
    assert_divided(labels, after, 2)
    assert 21 in after
    with pytest.raises(InputError, match="at least two"):
        split_among_seeds(labels, [4], [[(12, 30)], [(70, 5)]], 2)


def test_seeds_divide_several_fragments_among_objects():
    """Two objects left and right of an edge, in four fragments; a fifth is not selected."""
    labels = np.zeros((60, 90), np.uint16)
    labels[10:30, 10:44], labels[32:50, 10:44] = 1, 2  # a gap of two rows between
    labels[10:30, 46:80], labels[32:50, 46:80] = 3, 4
    labels[52:60, 10:80] = 9
    edge = np.zeros(labels.shape, np.float32)
    edge[:, 44:46] = 1
    after = split_among_seeds(labels, [1, 2, 3, 4], [[(20, 20)], [(60, 40)]], 2, edge)
    assert np.unique(after).tolist() == [0, 1, 3, 9]
    assert set(np.unique(after[10:50, 10:44])) == {1} and set(np.unique(after[10:50, 46:80])) == {3}
    assert (after[52:] == labels[52:]).all()
    # a stroke over two fragments makes them one, another divides the third
    strokes = [[(20, 20), (60, 20)], [(15, 35)], [(40, 45)]]
    after = split_among_seeds(labels, [1, 2, 3], strokes, 2, edge)
    assert after[20, 20] == after[20, 60] == 1
    assert len({int(after[35, 15]), int(after[45, 40]), 1}) == 3
    with pytest.raises(InputError, match="No seed is on the masks"):
        split_among_seeds(labels, [1, 2], [[(85, 5)]], 2, edge)


def test_strokes_become_instances_on_free_ground_only():
    labels = two_discs()
    edge = np.zeros(labels.shape, np.float32)
    square = np.zeros(labels.shape, bool)
    square[4:12, 60:74] = True
    labels[square] = 0
    edge[3, 59:75] = edge[12, 59:75] = edge[3:13, 59] = edge[3:13, 74] = 1
    strokes = [[(64, 8), (70, 8)], [(2, 58), (70, 58)]]
    after = instances_of_seeds(labels, strokes, [False, True], 1, edge, highest=20)
    assert (after[labels > 0] == labels[labels > 0]).all()
    made = after == 21
    assert (made & square).sum() > 0.9 * square.sum()
    assert made.sum() < 1.4 * square.sum()  # the wall around it is shared out
    bordered = instances_of_seeds(labels, strokes[:1], [False], 1, edge)
    assert abs(int((bordered == 10).sum()) - int(made.sum())) < 8
    with pytest.raises(InputError, match="no instance has"):
        instances_of_seeds(labels, [[(20, 30)]], [False], 1, edge)


@pytest.mark.parametrize("case", EDIT_CASES["new_ids"], ids=lambda case: case["name"])
def test_new_numbers_are_those_of_the_browser(case):
    labels = np.array(case["labels"], np.uint16)
    assert new_ids(labels, len(case["ids"]), case["highest"]) == case["ids"]


def test_numbers_run_out_with_a_sentence():
    labels = np.arange(1, 65536, dtype=np.uint16).reshape(255, 257)
    with pytest.raises(InputError, match="All 65535 numbers are in use"):
        new_ids(labels, 1)
