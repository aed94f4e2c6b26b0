"""Strokes and polygons against loops over every pixel."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdemo.datatypes import InputError
from segdemo.editing.strokes import fill_polygon, paint

COORDINATE = st.floats(-5, 25, allow_nan=False).map(lambda value: round(value, 2))
POINT = st.tuples(COORDINATE, COORDINATE)


def distance_to_segment(point, start, end):
    (px, py), (x0, y0), (x1, y1) = point, start, end
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2
    along = 0.0
    if length:
        along = max(0.0, min(1.0, ((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / length))
    return math.hypot(px - x0 - along * (x1 - x0), py - y0 - along * (y1 - y0))


@given(st.lists(POINT, min_size=1, max_size=4), st.floats(0.5, 6))
def test_a_stroke_covers_the_pixels_whose_centres_are_near_its_path(points, radius):
    drawn = paint(np.zeros((15, 20), np.uint16), 3, points, radius)
    segments = list(itertools.pairwise(points)) or [(points[0], points[0])]
    for row in range(15):
        for column in range(20):
            centre = (column + 0.5, row + 0.5)
            away = min(distance_to_segment(centre, *segment) for segment in segments)
            if abs(away - radius) > 1e-6:
                assert (drawn[row, column] == 3) == (away <= radius)


def test_paint_modes_and_locks_decide_what_a_stroke_covers():
    labels = np.repeat(np.array([[0, 1, 2, 3]], np.uint16), 4, 0)
    across = [(0, 2), (4, 2)]
    assert paint(labels, 1, across, 9, "over").tolist() == [[1, 1, 1, 1]] * 4
    assert paint(labels, 1, across, 9, "background").tolist() == [[1, 1, 2, 3]] * 4
    assert paint(labels, 1, across, 9, "inside").tolist() == labels.tolist()
    assert paint(labels, 0, across, 9, "over", locked=[2]).tolist() == [[0, 0, 2, 0]] * 4
    assert labels.tolist() == [[0, 1, 2, 3]] * 4, "the map that was given is not changed"


def test_a_polygon_fills_what_an_even_odd_ray_says():
    corners = [(2.3, 1.2), (17.1, 3.3), (9.4, 13.8), (12.2, 0.4), (4.9, 11.6)]
    drawn = fill_polygon(np.zeros((15, 20), np.uint16), 7, corners)
    for row in range(15):
        for column in range(20):
            x, y = column + 0.5, row + 0.5
            crossings = 0
            for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
                if min(y0, y1) <= y < max(y0, y1):
                    crossings += x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x
            assert (drawn[row, column] == 7) == (crossings % 2 == 1)


def test_strokes_without_points_and_unknown_modes_are_refused():
    labels = np.zeros((4, 4), np.uint16)
    with pytest.raises(InputError, match="at least one point"):
        paint(labels, 1, [], 2)
    with pytest.raises(InputError, match="three corners"):
        fill_polygon(labels, 1, [(0, 0), (3, 3)])
    with pytest.raises(InputError, match="choose over"):
        paint(labels, 1, [(1, 1)], 2, "under")
