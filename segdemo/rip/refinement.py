"""What RIP made of masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import Labels
from segdemo.rip.merging import BoolMasks, Merge


@dataclass(frozen=True, eq=False)
class Refinement:
    """What RIP made of N input masks.

    labels: (H, W) int32, 0 = nothing, k = instance k - 1. scores: (K,) highest score of the inputs
    an instance came from, times the share of it that inputs cover or, in the careful way, how
    likely it is one object. sources: for each instance the inputs it came from. merges: joins of
    `parts`, with their IoU; parts: the input of each component that the edges cut out.
    """

    labels: Labels
    scores: npt.NDArray[np.float64]
    sources: tuple[tuple[int, ...], ...]
    merges: tuple[Merge, ...]
    parts: tuple[int, ...]
    count: int  # of inputs

    @property
    def masks(self) -> BoolMasks:
        """The instances, (K, H, W)."""
        return self.labels == np.arange(1, len(self.sources) + 1)[:, None, None]

    @property
    def split(self) -> tuple[int, ...]:
        """Inputs that are in more than one instance now."""
        return tuple(n for n in range(self.count) if self._uses(n) > 1)

    @property
    def dropped(self) -> tuple[int, ...]:
        """Inputs of which nothing is left."""
        return tuple(n for n in range(self.count) if self._uses(n) == 0)

    def _uses(self, index: int) -> int:
        return sum(index in source for source in self.sources)
