"""Boundaries of label maps."""

from __future__ import annotations

import numpy as np

from segdemo.boundaries import label_boundaries


def test_boundaries_are_the_pixels_with_a_neighbour_of_another_label():
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0]])
    expected = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(label_boundaries(labels), expected)
