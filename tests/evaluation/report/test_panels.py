"""Panels of the lowest-scoring images: colours by hand, worst first."""

from __future__ import annotations

import numpy as np

from evaluation.metrics.instances import Instances
from evaluation.report.panels import (
    WorstPanels,
    boundaries_panel,
    instances_panel,
    save_worst,
    segments_panel,
    side_by_side,
)
from evaluation.report.plots import FALSE_NEGATIVE, FALSE_POSITIVE
from segdemo.annotations import rle
from segdemo.panoptic_quality import Segments

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def row(*values: int) -> np.ndarray:
    """Return a picture one row high."""
    return np.array([values])


def objects(labels: np.ndarray) -> Instances:
    return Instances.from_rle([rle.encode(labels == n) for n in np.unique(labels[labels > 0])])


def colours(panel: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(pixel) for pixel in panel[0].tolist()]


def test_found_objects_are_white_missed_ones_blue_and_false_ones_vermilion():
    truth, found = row(1, 1, 1, 0, 2, 2, 0), row(1, 1, 0, 0, 0, 0, 3)
    assert colours(instances_panel(objects(truth), objects(found))) == [
        *[WHITE] * 3,
        BLACK,
        *[FALSE_NEGATIVE] * 2,
        FALSE_POSITIVE,
    ]


def test_segments_of_another_class_are_false_and_void_stays_black():
    truth = Segments(row(1, 1, 1, 2, 2, 0), {1: 7, 2: 8})
    found = Segments(row(1, 1, 1, 2, 2, 2), {1: 7, 2: 9})
    assert colours(segments_panel(truth, found)) == [*[WHITE] * 3, *[FALSE_POSITIVE] * 2, BLACK]


def test_edges_are_right_where_any_annotator_agrees():
    edge = np.zeros((60, 60), np.float32)
    edge[:, [10, 50]] = 1
    planes = np.zeros((2, 60, 60), bool)
    planes[0, :, 10] = planes[1, :, 30] = True
    panel = boundaries_panel(edge, planes, 0.5)
    assert [tuple(panel[20, column]) for column in (10, 50, 30, 40)] == [
        WHITE,
        FALSE_POSITIVE,
        FALSE_NEGATIVE,
        BLACK,
    ]


def test_the_lowest_values_are_saved_first_and_replace_earlier_ones(tmp_path):
    (tmp_path / "01_old.png").write_bytes(b"")
    panel = np.zeros((4, 4, 3), np.uint8)
    names = ["a.jpg", "sub/b.png", "c.jpg", "d.jpg"]
    worst = WorstPanels([0.5, 0.1, None, 0.9], lambda _: side_by_side(panel, panel))
    save_worst(tmp_path, names, worst, 2)
    saved = sorted(file.name for file in tmp_path.iterdir())
    assert saved == ["01_sub_b.png", "02_a.png"]
