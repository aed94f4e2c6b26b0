"""What counts as connected: pieces of edges, and contours that close."""

from __future__ import annotations

import numpy as np
import pytest

from training.diffegg.connectivity import edge_connectivity

RING = [(slice(5, 8), slice(5, 26)), (slice(22, 25), slice(5, 26))]
RING += [(slice(5, 25), slice(5, 8)), (slice(5, 25), slice(23, 26))]


def drawn(*strokes: tuple[slice, slice]) -> np.ndarray:
    edges = np.zeros((32, 32), bool)
    for stroke in strokes:
        edges[stroke] = True
    return edges


@pytest.mark.parametrize(
    ("edges", "components", "least", "most"),
    [
        (drawn(), 0, 0, 0),
        (drawn(*RING), 1, 1, 1),
        (drawn((slice(4, 28), slice(15, 18))), 1, 0, 0),  # a stroke with two free ends
        (drawn((slice(0, 32), slice(15, 18))), 1, 1, 1),  # the border closes it
        (drawn((slice(0, 30), slice(15, 18))), 1, 0, 0),  # but not where a gap is left
        (drawn(*RING, (slice(14, 17), slice(10, 20))), 2, 0.8, 0.95),  # a stroke within a ring
        (np.ones((32, 32), bool), 1, 0, 1),
    ],
)
def test_contours_are_closed_where_their_two_sides_are_different_regions(
    edges: np.ndarray, components: int, least: float, most: float
) -> None:
    found = edge_connectivity(edges)
    assert found.components == components
    assert least <= found.closed / max(1, found.length) <= most


def test_a_gap_opens_a_contour() -> None:
    whole, broken = drawn(*RING), drawn(*RING)
    broken[12:16, 5:8] = False
    assert edge_connectivity(whole).closed > 50
    assert edge_connectivity(broken)[:2] == (1, 0)
