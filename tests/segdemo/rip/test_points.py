"""Masks are divided among points by the walk; masks without a point stay."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import InputError, InstanceMasks
from segdemo.rip.instances import refine_instances
from segdemo.rip.semantic import refine_semantic
from segdemo.rip.settings import CAREFUL, ROBUST
from tests.segdemo.rip import scenes


@pytest.fixture
def labels() -> np.ndarray:
    """Two squares that touch, and one that lies apart."""
    drawn = np.zeros((80, 120), np.int32)
    drawn[10:50, 10:40], drawn[10:50, 40:80], drawn[60:75, 90:110] = 1, 2, 3
    return drawn


def middle(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return columns.mean() + 0.5, rows.mean() + 0.5


def middles(labels: np.ndarray, *numbers: int) -> np.ndarray:
    return np.array([middle(labels == number) for number in numbers])


def shares(labels: np.ndarray, found: InstanceMasks) -> list[float]:
    """Return the best IoU of each true instance."""
    return [
        max(((labels == n) & m).sum() / ((labels == n) | m).sum() for m in found.masks)
        for n in np.unique(labels)[1:]
    ]


def test_points_part_merged_masks_and_join_fragments(labels: np.ndarray) -> None:
    edge = scenes.true_edges(labels)
    merged = InstanceMasks.unscored(np.stack([(labels == 1) | (labels == 2), labels == 3]))
    points = middles(labels, 1, 2, 3)
    found, counts = refine_instances(merged, edge, ROBUST, points=points)
    assert min(shares(labels, found)) > 0.95
    assert (counts.split, counts.joined, counts.instances) == (1, 0, 3)

    upper = np.arange(80)[:, None] < 30
    cut = labels * ((np.arange(80)[:, None] - 29) // 2 != 0)  # two rows are lost
    pieces = [(cut == n) & half for n in (1, 2) for half in (upper, ~upper)]
    fragments = InstanceMasks.unscored(np.stack([*pieces, labels == 3]))
    found, counts = refine_instances(fragments, edge, ROBUST, points=points)
    assert min(shares(labels, found)) > 0.9
    assert (counts.joined, counts.instances) == (4, 3)


def test_masks_without_a_point_stay_behind_and_points_beside_all_masks_are_told(
    labels: np.ndarray,
) -> None:
    masks = InstanceMasks.unscored(np.stack([labels == 1, labels == 2, labels == 3]))
    points = np.array([middle(labels == 3), (115.0, 5.0), (-3.0, 500.0)])
    found, counts = refine_instances(masks, np.zeros((80, 120), np.float32), points=points)
    assert shares(labels, found) == [1, 1, 1]
    assert found.scores.tolist() == [0.5, 0.5, 1]
    assert counts.unused_points == 2
    none, _ = refine_instances(masks, np.zeros((80, 120), np.float32), points=points[:0])
    assert (len(none), none.scores.max()) == (3, 0.5)


def test_a_point_of_a_mask_too_thin_for_the_grid_makes_no_empty_instance() -> None:
    masks = np.zeros((2, 600, 600), bool)
    masks[0, 100:103, 50:550] = True
    masks[1, 108:300, 50:550] = True
    points = np.array([(300.0, 105.0), (300.0, 200.0), (60.0, 101.0)])
    found, _ = refine_instances(
        InstanceMasks.unscored(masks), np.ones((600, 600), np.float32), points=points
    )
    assert 2 <= len(found) <= 3 and (found.areas > 0).all()


def test_each_class_of_a_class_map_has_its_own_points(labels: np.ndarray) -> None:
    class_map = np.select([labels == 3, labels > 0], [2, 1], 9)
    edge = scenes.true_edges(labels)
    found = refine_semantic(class_map, edge, {1, 2}, points=middles(labels, 1, 2, 3))
    assert found.class_ids.tolist() == [1, 1, 2, 9]
    assert ((found.segments == 2) & (labels == 2)).sum() > 0.95 * (labels == 2).sum()


def test_region_merging_takes_no_points(labels: np.ndarray) -> None:
    masks, edge = InstanceMasks.from_label_map(labels), np.zeros((80, 120), np.float32)
    with pytest.raises(InputError, match="choose preset robust or paper"):
        refine_instances(masks, edge, CAREFUL, points=middles(labels, 1))
