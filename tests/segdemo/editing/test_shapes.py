"""Operations on whole instances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segdemo.datatypes import InputError
from segdemo.editing import shapes


def scene() -> np.ndarray:
    labels = np.zeros((50, 60), np.uint16)
    labels[5:30, 5:30] = 1
    labels[12:16, 12:16] = 0  # a hole
    labels[20:24, 20:24] = 3  # an instance within
    labels[10:25, 34:50] = 2
    return labels


def test_holes_of_background_are_filled_and_an_instance_within_stays():
    filled = shapes.fill_holes(scene(), [1])
    assert (filled[12:16, 12:16] == 1).all()
    assert (filled == 3).sum() == 16


def test_smoothing_takes_a_spike_and_a_notch_but_no_neighbour():
    labels = scene()
    labels[16, 30:34] = 1  # a spike one pixel wide, towards instance 2
    after = shapes.smooth(labels, [1], 3)
    assert not (after[16, 31:34] == 1).any()
    assert (after == 2).sum() == (labels == 2).sum()
    assert (after == 3).sum() == 16


def test_smoothing_keeps_what_is_thinner_than_its_disc():
    labels = np.zeros((20, 40), np.uint16)
    labels[10, 5:35] = 1
    assert (shapes.smooth(labels, [1], 3) == 1).sum() >= 30


@pytest.mark.parametrize("radius", [1, 2.5, 6])
def test_growing_and_shrinking_are_by_distance(radius):
    labels = scene()
    mask = labels == 2
    grown = shapes.grow(labels, [2], radius) == 2
    near = ndimage.distance_transform_edt(~mask) <= radius
    assert (grown == (mask | (near & (labels == 0)))).all()
    shrunk = shapes.shrink(labels, [2], radius) == 2
    assert (shrunk == (ndimage.distance_transform_edt(mask) > radius)).all()


def test_the_border_of_the_picture_is_no_outline():
    labels = np.zeros((20, 20), np.uint16)
    labels[:10] = 1
    assert (shapes.shrink(labels, [1], 2) == 1).sum() == 8 * 20


def test_nothing_is_left_of_a_thin_instance():
    labels = np.zeros((20, 20), np.uint16)
    labels[3:5, 3:9] = 8
    with pytest.raises(InputError, match="Instance 8 is too thin"):
        shapes.shrink(labels, [8], 3)


def test_subtracting_leaves_a_margin():
    labels = np.zeros((20, 20), np.uint16)
    labels[:, :10], labels[:, 10:] = 1, 2
    after = shapes.subtract(labels, [1, 2], 3)
    assert (after[0] == [1] * 7 + [0] * 3 + [2] * 10).all()
    with pytest.raises(InputError, match="two instances"):
        shapes.subtract(labels, [1], 3)


@pytest.mark.parametrize("radius", [0, -1, 65])
def test_radii_have_a_range(radius):
    with pytest.raises(InputError, match="outside 0 to 64"):
        shapes.grow(scene(), [1], radius)
