"""Instances of files: classes stay apart, crowds stay as they are."""

from __future__ import annotations

import numpy as np

from segdemo.datatypes import InstanceMasks
from segdemo.rip.instances import RefinementCounts, refine_instances


def test_only_one_class_merges_and_crowds_come_last_unchanged() -> None:
    masks = np.zeros((4, 60, 80), bool)
    masks[0, 5:50, 5:70] = True  # a crowd
    masks[1, 10:29, 10:40] = masks[2, 31:50, 10:40] = True  # fragments of one class
    masks[3, 10:50, 42:70] = True  # another class, with no edge between
    given = InstanceMasks(
        masks,
        np.array([0.5, 0.6, 0.7, 0.8], np.float32),
        np.array([2, 2, 2, 3]),
        {2: "cat", 3: "dog"},
        np.array([True, False, False, False]),
    )
    edge = np.zeros((60, 80), np.float32)
    edge[8], edge[52], edge[:, 8], edge[:, 72] = 1, 1, 1, 1
    refined, counts = refine_instances(given, edge)
    assert counts == RefinementCounts(split=0, joined=2, dropped=0, instances=2)
    assert refined.category_ids is not None and refined.crowd is not None
    assert refined.category_ids.tolist() == [2, 3, 2]
    assert refined.crowd.tolist() == [False, False, True]
    assert refined.names == given.names
    np.testing.assert_array_equal(refined.masks[2], masks[0])
    assert refined.scores[2] == np.float32(0.5)
