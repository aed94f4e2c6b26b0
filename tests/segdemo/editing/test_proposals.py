"""RIP's proposals on scenes with exact instances, damaged in known ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdemo.datatypes import InputError
from segdemo.editing.proposals import accept, propose
from segdemo.rip.settings import PAPER

SIDE = 160


def discs() -> tuple[np.ndarray, np.ndarray]:
    """Four discs, 1 and 2 touching; and the edges around them, two pixels wide."""
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.uint16)
    for number, (cy, cx) in enumerate([(45, 40), (45, 82), (115, 45), (115, 115)], start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= 23**2] = number
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return labels, ndimage.binary_dilation(edge).astype(np.float32)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_merged_neighbours_are_split_and_keep_their_pixels():
    truth, edge = discs()
    labels = np.where(truth == 2, 1, truth).astype(np.uint16)
    proposals = propose(labels, edge, PAPER)
    (change,) = proposals.changes
    assert (change.kind, change.inputs, change.text) == ("split", (1,), "split 1 into 2 parts")
    after, origin = accept(labels, proposals, [0])
    assert ((after > 0) == (labels > 0)).all(), "outlines survive"
    assert np.unique(after).tolist() == [0, 1, 3, 4, 5]
    assert origin == {1: 1, 5: 1}
    for number in (1, 2):
        best = max(iou(after == n, truth == number) for n in (1, 5))
        assert best > 0.97


def test_fragments_merge_with_their_overlap_told_and_the_gap_closed():
    truth, edge = discs()
    labels = truth.copy()
    labels[:, 113:116][truth[:, 113:116] == 4] = 0
    labels[:, 116:][truth[:, 116:] == 4] = 7
    proposals = propose(labels, edge, PAPER)
    (change,) = proposals.changes
    assert change.kind == "merge" and change.inputs == (4, 7)
    assert 0.5 < change.iou <= 1 and f"merge 4 + 7, IoU {change.iou:.2f}" == change.text
    after, _ = accept(labels, proposals, [0])
    assert iou(np.isin(after, (4, 7)), truth == 4) > 0.97
    assert len(np.unique(after)) == 5


def test_classes_crowds_and_locked_instances_stay_apart():
    truth, edge = discs()
    labels = truth.copy()
    labels[:, 113:][truth[:, 113:] == 4] = 7
    assert propose(labels, edge, PAPER).changes
    assert not propose(labels, edge, PAPER, {4: 1, 7: 2}).changes
    assert not propose(labels, edge, PAPER, kept=[7]).changes


def test_specks_are_dropped_only_when_asked():
    truth, edge = discs()
    labels = truth.copy()
    labels[80:82, 80:82] = 9
    (change,) = propose(labels, edge, PAPER).changes
    assert change.text == "drop 9, 4 px"


def test_one_of_several_is_accepted_and_the_others_stay_valid():
    truth, edge = discs()
    labels = np.where(truth == 2, 1, truth).astype(np.uint16)
    labels[80:82, 80:82] = 9
    proposals = propose(labels, edge, PAPER)
    assert [change.kind for change in proposals.changes] == ["split", "drop"]
    dropped, _ = accept(labels, proposals, [1])
    assert not (dropped == 9).any() and (dropped == 1).sum() == (labels == 1).sum()
    both, _ = accept(dropped, proposals, [0])
    at_once, _ = accept(labels, proposals, [0, 1])
    pairs = np.unique(np.stack([both, at_once]).reshape(2, -1), axis=1)
    assert pairs.shape[1] == 5, "the same parts, whatever their numbers"
    with pytest.raises(InputError, match="edited since the preview"):
        accept(dropped, proposals, [1])
    with pytest.raises(InputError, match="not there any more"):
        accept(labels, proposals, [2])


def test_sound_masks_need_no_change():
    truth, edge = discs()
    assert propose(truth, edge, PAPER).changes == ()
    assert propose(np.zeros_like(truth), edge, PAPER).changes == ()
