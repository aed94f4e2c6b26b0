"""Strokes against a loop over every pixel."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdemo.datatypes import InputError
from segdemo.editing.strokes import stroke_mask
from tests.segdemo.editing.edit_cases import EDIT_CASES

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
    covered = stroke_mask((15, 20), points, radius)
    segments = list(itertools.pairwise(points)) or [(points[0], points[0])]
    for row in range(15):
        for column in range(20):
            centre = (column + 0.5, row + 0.5)
            away = min(distance_to_segment(centre, *segment) for segment in segments)
            if abs(away - radius) > 1e-6:
                assert covered[row, column] == (away <= radius)


@pytest.mark.parametrize("case", EDIT_CASES["strokes"], ids=lambda case: case["name"])
def test_a_stroke_covers_what_the_browser_paints(case):
    rows = case["covered"]
    covered = stroke_mask((len(rows), len(rows[0])), case["points"], case["radius"])
    assert ["".join(".#"[pixel] for pixel in row) for row in covered.astype(int)] == rows


def test_a_stroke_without_points_is_refused():
    with pytest.raises(InputError, match="at least one point"):
        stroke_mask((4, 4), [], 2)
