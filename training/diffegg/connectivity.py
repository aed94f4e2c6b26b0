"""How connected predicted edges are, which grows during training (figure 6)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import skeletonize

EIGHT = np.ones((3, 3), bool)


class Connectivity(NamedTuple):
    """Of one image's edges. components: how many pieces they are in, 8-connected.

    closed: pixels of their centre lines that part two regions, so lie on closed contours; the
    image border closes contours, too. length: all pixels of the centre lines.
    """

    components: int
    closed: int
    length: int


def edge_connectivity(edges: npt.NDArray[np.bool_]) -> Connectivity:
    """Measure edges (H, W), True where a pixel is an edge."""
    _, components = ndimage.label(edges, EIGHT)
    # thinning shortens free ends: the pad keeps those that end at the border in place
    width = max(edges.shape)
    lines = skeletonize(np.pad(edges, width, mode="edge"))[width:-width, width:-width]
    regions, count = ndimage.label(~lines)  # 4-connected: 8-connected lines part them
    highest = ndimage.maximum_filter(regions, 3, mode="nearest")
    beside = np.where(lines, count + 1, regions)
    lowest = ndimage.minimum_filter(beside, 3, mode="nearest")
    closed = lines & (highest > 0) & (lowest < highest)
    return Connectivity(components, int(closed.sum()), int(lines.sum()))
