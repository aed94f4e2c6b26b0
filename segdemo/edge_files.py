"""Edge maps that need no model: read from a file, or drawn from a photo's own gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import EdgeMap, InputError, RGBImage
from segdemo.images import load_rgb

EDGE_SHARE = 0.1  # of a photo's pixels are edges to gradient_edges: BSDS500's people draw fewer
SMOOTHING = 2.0  # pixels


def read_edge_map(path: Path, size: tuple[int, int], name: str | None = None) -> EdgeMap:
    """Read an image of edges, white = edge, for a photo of (height, width).

    name: what messages call the file. Raises InputError for another size, and for files that are
    not images.
    """
    grey = load_rgb(path, name).mean(2, dtype=np.float32) / 255
    if grey.shape != size:
        raise InputError(
            f"{name or path} is {grey.shape[1]} x {grey.shape[0]}, its photo {size[1]} x "
            f"{size[0]}: give edge maps of the photos' sizes."
        )
    return EdgeMap(grey.clip(0, 1), "upload")


def gradient_edges(image: RGBImage) -> EdgeMap:
    """Draw edges where grey values change: a fallback that knows nothing of objects.

    The length of the smoothed gradient, scaled so that the steepest tenth of the pixels lies above
    0.5.
    """
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)
    length = ndimage.gaussian_gradient_magnitude(grey, SMOOTHING)
    middle = max(float(np.quantile(length, 1 - EDGE_SHARE)), 1e-6)
    return EdgeMap((length / (length + middle)).astype(np.float32), "gradient")
