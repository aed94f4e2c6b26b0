"""The result of RIP."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from segdemo.rip.grid import BoolMasks, LabelImage
from segdemo.rip.iou_merging import Merge


@dataclass(frozen=True, eq=False)
class Refinement:
    """What RIP made of `count` input masks.

    labels: (H, W) int32, 0 = background, k = instance k - 1. scores: (K,) highest score of the
    inputs an instance comes from, times a confidence: the share of it that inputs cover (walk), or
    how likely it is one object (region merging). sources: for each instance the inputs it comes
    from. merges: pairs of `components` that were merged, with their IoU. components: the input of
    each component that the edges cut out.
    """

    labels: LabelImage
    scores: npt.NDArray[np.float64]
    sources: tuple[tuple[int, ...], ...]
    merges: tuple[Merge, ...]
    components: tuple[int, ...]
    count: int

    @property
    def masks(self) -> BoolMasks:
        """The instances, (K, H, W)."""
        return self.labels == np.arange(1, len(self.sources) + 1)[:, None, None]

    @property
    def split(self) -> tuple[int, ...]:
        """Inputs that are in more than one instance now."""
        return tuple(np.flatnonzero(self._uses > 1).tolist())

    @property
    def dropped(self) -> tuple[int, ...]:
        """Inputs of which nothing is left."""
        return tuple(np.flatnonzero(self._uses == 0).tolist())

    @cached_property
    def _uses(self) -> npt.NDArray[np.int64]:
        """How many instances each input is in, (count,)."""
        inputs = [index for source in self.sources for index in source]
        return np.bincount(np.array(inputs, np.int64), minlength=self.count)
