"""Masks as polygons and runs, compared with pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_api
from scipy import ndimage

from segdemo.annotations import rle
from segdemo.annotations.outlines import fill, join, trace, trace_filled
from segdemo.datatypes import InputError
from tests.segdemo.annotations.drawing import RING, drawn, mask_stacks


def flat(polygon: list[tuple[int, int]]) -> list[float]:
    return [float(value) for point in polygon for value in point]


def test_a_rectangle_is_four_corners():
    (polygon,) = trace(drawn("....", ".##.", "....")).polygons
    assert polygon == [(1, 1), (3, 1), (3, 2), (1, 2)]


def test_regions_that_touch_at_a_corner_are_two_polygons():
    assert len(trace(drawn("#.", ".#")).polygons) == 2
    assert len(trace(drawn(".#", "#.")).polygons) == 2


def test_a_ring_around_an_island_is_two_polygons_one_with_a_hole():
    outlines = trace(RING)
    assert (len(outlines.polygons), outlines.holes) == (2, 1)
    assert len(trace_filled(RING).polygons[0]) == 4


def test_an_empty_mask_has_no_outline():
    assert trace(np.zeros((3, 3), np.bool_)).polygons == []


@given(mask_stacks(1))
def test_pycocotools_fills_outlines_to_the_mask(masks: np.ndarray):
    for mask in masks:
        outlines = trace(mask)
        assert len(outlines.polygons) == ndimage.label(mask)[1]
        filled = fill([flat(polygon) for polygon in outlines.polygons], mask.shape)
        np.testing.assert_array_equal(filled, mask)
        if outlines.polygons:
            joined = fill([flat(join(outlines.polygons))], mask.shape)
            np.testing.assert_array_equal(joined, mask)


@given(mask_stacks(1))
def test_outlines_without_holes_cover_the_mask(masks: np.ndarray):
    for mask in masks:
        polygons = trace_filled(mask).polygons
        filled = fill([flat(polygon) for polygon in polygons], mask.shape)
        np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(mask, np.ones((3, 3))))


def test_polygons_of_two_corners_enclose_nothing():
    assert not fill([[1, 1, 3, 3]], (4, 4)).any()


@pytest.mark.parametrize("polygon", [[1, 2, 3], [0, 0, 9, 0, 1e12, 5], [0, 0, 1, 1, np.nan, 2]])
def test_polygons_that_lead_nowhere_are_refused(polygon: list[float]):
    with pytest.raises(InputError):
        fill([polygon], (4, 4))


@given(mask_stacks(1, sides=40))
def test_runs_are_those_of_pycocotools(masks: np.ndarray):
    for mask in masks:
        runs = rle.encode(mask)
        np.testing.assert_array_equal(rle.decode(runs), mask)
        np.testing.assert_array_equal(mask_api.decode(runs), mask)
        plain = {"size": list(mask.shape), "counts": rle.plain_counts(mask)}
        np.testing.assert_array_equal(rle.decode(plain), mask)
        packed = mask_api.frPyObjects(plain, *mask.shape)
        assert packed["counts"].decode() == runs["counts"]


def test_long_runs_are_decoded():
    mask = np.zeros((3000, 4000), np.bool_)
    mask[100:2900, 100:3000] = True
    mask[1500, 1500] = False
    np.testing.assert_array_equal(rle.decode(rle.encode(mask)), mask)


@pytest.mark.parametrize(
    "counts",
    [
        "o",
        "0",
        "",
        "04P",
        "0\x7f",
        "ü",
        "PPPPPPPPPPPPPPPPPPPP1",
        [3],
        [-1, 5],
        [4, 1],
        [2.0, 2.0],
        4,
    ],
)
def test_runs_that_do_not_fill_their_size_are_refused(counts: object):
    with pytest.raises(InputError, match="RLE"):
        rle.decode({"size": [2, 2], "counts": counts})


@given(st.binary(max_size=20))
def test_strings_of_any_bytes_are_decoded_or_refused(counts: bytes):
    try:
        mask = rle.decode({"size": [3, 4], "counts": counts})
    except InputError:
        return
    assert mask.shape == (3, 4)
