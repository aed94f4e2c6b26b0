"""What RIP refines: N masks, as a stack that may overlap or as a label image."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError, InstanceMasks
from segdemo.rip.grid import BoolMask, BoolMasks, Grid, LabelImage

Indices = npt.NDArray[np.int64]


class InputMasks(Protocol):
    """N masks of one image."""

    def __len__(self) -> int:
        """Return N."""

    @property
    def size(self) -> tuple[int, int]:
        """The image's (height, width)."""

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each mask, (N,)."""

    @property
    def covered(self) -> BoolMask:
        """Pixels of any mask, (H, W)."""

    def select(self, indices: Indices) -> InputMasks:
        """Return some of the masks."""

    def downsample(self, grid: Grid) -> BoolMasks:
        """Return the cells that each mask covers by half or more, (N, h, w)."""

    def flatten(self) -> LabelImage:
        """Return a label image (H, W): mask k - 1 has label k; the smaller lies in front."""


class MaskStack:
    """Masks (N, H, W) bool, which may overlap or be empty; see `InputMasks`."""

    def __init__(self, masks: BoolMasks) -> None:
        """Raise InputError for other types and shapes."""
        if masks.ndim != 3 or masks.dtype != np.bool_:
            raise InputError(f"Masks are {masks.dtype} {masks.shape}, expected bool (N, H, W).")
        self._masks = masks

    def __len__(self) -> int:
        """See `InputMasks`."""
        return len(self._masks)

    @property
    def size(self) -> tuple[int, int]:
        """See `InputMasks`."""
        return self._masks.shape[1], self._masks.shape[2]

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """See `InputMasks`."""
        return np.array([np.count_nonzero(mask) for mask in self._masks], np.int64)

    @cached_property
    def covered(self) -> BoolMask:
        """See `InputMasks`."""
        return np.any(self._masks, axis=0)

    def select(self, indices: Indices) -> MaskStack:
        """See `InputMasks`."""
        return MaskStack(self._masks[indices])

    def downsample(self, grid: Grid) -> BoolMasks:
        """See `InputMasks`."""
        cells = np.zeros((len(self), *grid.shape), bool)
        for mask, covered in zip(self._masks, cells, strict=True):
            covered[:] = grid.downsample(mask)
        return cells

    def flatten(self) -> LabelImage:
        """See `InputMasks`."""
        # a view: InstanceMasks makes its arrays read-only, and these are the caller's
        return InstanceMasks.unscored(self._masks.view()).to_label_map("smaller").labels


class LabelledMasks:
    """Masks that do not overlap, as a label image, in less memory; see `InputMasks`."""

    def __init__(self, labels: npt.NDArray[np.integer], count: int | None = None) -> None:
        """Take labels (H, W), 0 = background, k = mask k - 1; raises InputError.

        count: number of masks, by default the highest label; labels that do not occur are empty
        masks.
        """
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise InputError(f"Labels are {labels.dtype} {labels.shape}, expected integers (H, W).")
        lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
        if lowest < 0:
            raise InputError(f"Labels hold {lowest}: they start at 0, the background.")
        if count is not None and highest > count:
            raise InputError(f"Label {highest} has no score: there are {count}.")
        self._labels = labels.astype(np.int32, copy=False)
        self._count = highest if count is None else count

    def __len__(self) -> int:
        """See `InputMasks`."""
        return self._count

    @property
    def size(self) -> tuple[int, int]:
        """See `InputMasks`."""
        return self._labels.shape[0], self._labels.shape[1]

    @cached_property
    def areas(self) -> npt.NDArray[np.int64]:
        """See `InputMasks`."""
        return np.bincount(self._labels.ravel(), minlength=self._count + 1)[1:]

    @property
    def covered(self) -> BoolMask:
        """See `InputMasks`."""
        return self._labels > 0

    def select(self, indices: Indices) -> LabelledMasks:
        """See `InputMasks`."""
        renumber = np.zeros(self._count + 1, np.int32)
        renumber[indices + 1] = np.arange(1, len(indices) + 1)
        return LabelledMasks(renumber[self._labels], len(indices))

    def downsample(self, grid: Grid) -> BoolMasks:
        """See `InputMasks`."""
        return grid.downsample_labels(self._labels, self._count)

    def flatten(self) -> LabelImage:
        """See `InputMasks`."""
        return self._labels
