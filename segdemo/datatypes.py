"""The values that flow between the rooms of this house, and the error that names bad input.

numpy only. Arrays are made read-only and their shape and type are checked once, on entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RGBImage = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, upright, without alpha."""

FloatMap = npt.NDArray[np.float32]
"""(H, W) float32 in [0, 1]."""


Progress = Callable[[int, int], None]
"""Called with (passes done, passes in all); may raise to stop the work."""


class InputError(ValueError):
    """Something a user gave is wrong; the message names it and the way out."""


# eq=False: comparing arrays by == has no single answer, and Gradio hashes what sessions hold
@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """A subject's mask and its edge map, at the picture's own size.

    mask, edge: (H, W) float32 in [0, 1]. uncertainty: the same, or None when a single prediction
    was made. mask_range: darkest and brightest value of the decoded mask in [0, 1] before it was
    stretched to the full range; a narrow range says that nothing was found.
    """

    mask: FloatMap
    edge: FloatMap
    mask_range: tuple[float, float]
    uncertainty: FloatMap | None = None

    def __post_init__(self) -> None:
        """Check that all maps are float32 of one size."""
        for name in ("mask", "edge", "uncertainty"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.ndim != 2 or values.shape != self.mask.shape or values.dtype != np.float32:
                raise InputError(
                    f"{name} is {values.dtype} {values.shape}, expected float32 {self.mask.shape}."
                )
            values.flags.writeable = False

    def binary(self, threshold: float = 0.5) -> npt.NDArray[np.bool_]:
        """Return the mask as (H, W) bool: True where it exceeds `threshold`."""
        return self.mask > threshold

    @property
    def found_something(self) -> bool:
        """Whether the decoded mask had enough contrast to be trusted at all."""
        low, high = self.mask_range
        return high - low > 0.3
