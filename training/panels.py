"""Images to look at during training: tiles of one size in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image


def side_by_side(
    tiles: Sequence[npt.NDArray[np.uint8]], longest: int, resampling: Image.Resampling
) -> Image.Image:
    """Return tiles (H, W) or (H, W, 3) of one size in a row, no side above `longest` pixels."""
    height, width = tiles[0].shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    strip = Image.new("RGB", (len(tiles) * size[0], size[1]))
    for column, tile in enumerate(tiles):
        resized = Image.fromarray(tile).convert("RGB").resize(size, resampling)
        strip.paste(resized, (column * size[0], 0))
    return strip
