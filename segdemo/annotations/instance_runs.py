"""Instances as run lengths: a hundredth of the memory that a stack of masks takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segdemo.annotations import rle
from segdemo.datatypes import (
    MAX_INSTANCES,
    Front,
    InputError,
    InstanceMasks,
    LabelMap,
    Labels,
    back_to_front,
    check_columns,
)

MAX_DECODED_BYTES = 4_000_000_000  # of one image's masks, one a pixel and instance


@dataclass(frozen=True, eq=False)
class InstanceRuns:
    """The instances of one image; they may overlap, be empty, and number 0.

    size: the image's (height, width). counts: each instance's runs, as `rle` packs them. The rest
    as in `InstanceMasks`.
    """

    size: tuple[int, int]
    counts: tuple[bytes, ...]
    scores: npt.NDArray[np.float32]
    category_ids: npt.NDArray[np.int64] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    crowd: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Check types and ranges; keep a copy of the names."""
        object.__setattr__(self, "names", dict(self.names))  # theirs may change
        check_columns(self, len(self.counts))

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.counts)

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each instance, (N,)."""
        return np.array([rle.area(counts) for counts in self.counts], np.int64)

    @property
    def masks(self) -> Iterator[npt.NDArray[np.bool_]]:
        """Decode the instances one by one, (H, W) each."""
        return (rle.decode_counts(counts, self.size) for counts in self.counts)

    @classmethod
    def unscored(
        cls,
        size: tuple[int, int],
        counts: tuple[bytes, ...],
        category_ids: npt.NDArray[np.int64] | None = None,
        names: Mapping[int, str] | None = None,
        crowd: npt.NDArray[np.bool_] | None = None,
    ) -> InstanceRuns:
        """Make instances whose scores are all 1."""
        scores = np.ones(len(counts), np.float32)
        return cls(size, counts, scores, category_ids, names or {}, crowd)

    @classmethod
    def of(cls, found: InstanceMasks) -> InstanceRuns:
        """Encode masks."""
        counts = tuple(rle.encode_counts(mask) for mask in found.masks)
        own = found.scores, found.category_ids, found.names, found.crowd
        return cls(found.size, counts, *own)

    @classmethod
    def from_label_map(cls, labels: Labels) -> InstanceRuns:
        """Make one instance of every number above 0 in (H, W) labels, in rising order.

        Raises InputError for numbers below 0, and for more instances than an image may have.
        """
        flat = labels.ravel(order="F")
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        lengths = np.diff(np.append(starts, flat.size))
        values = flat[starts]
        order = np.argsort(values, kind="stable")
        ids, first = np.unique(values[order], return_index=True)
        if ids.size and ids[0] < 0:
            raise InputError(f"labels hold {ids[0]}: ids start at 0, the background.")
        if np.count_nonzero(ids) > MAX_INSTANCES:
            raise InputError(f"there are more than {MAX_INSTANCES} ids, the most an image may have")
        own = np.split(order, first[1:])
        counts = tuple(
            rle.counts_of_runs(starts[runs], lengths[runs], flat.size)
            for number, runs in zip(ids, own, strict=True)
            if number
        )
        return cls.unscored((labels.shape[0], labels.shape[1]), counts)

    def pixels(self, i: int) -> npt.NDArray[np.int64]:
        """Return an instance's pixels as rising indices into the image, column by column."""
        return rle.pixels(self.counts[i])

    def decoded(self) -> InstanceMasks:
        """Decode all instances at once; raises InputError where they take too much memory."""
        height, width = self.size
        if len(self) * height * width > MAX_DECODED_BYTES:
            raise InputError(
                f"{len(self)} masks of {width} x {height} take more than "
                f"{MAX_DECODED_BYTES / 1e9:g} GB: reduce the image and its masks."
            )
        stack = np.zeros((len(self), height, width), np.bool_)
        for i, mask in enumerate(stack):
            columns, rows = np.divmod(self.pixels(i), height)
            mask[rows, columns] = True
        return InstanceMasks(stack, self.scores, self.category_ids, self.names, self.crowd)

    def to_label_map(self, front: Front = "smaller") -> LabelMap:
        """Flatten the instances as `InstanceMasks.to_label_map` does."""
        height, width = self.size
        labels = np.zeros(height * width, np.int32)
        overlap = np.zeros(height * width, np.bool_)
        for i in back_to_front(self.areas, self.scores, self.crowd, front):
            pixels = self.pixels(i)
            overlap[pixels] |= labels[pixels] > 0
            labels[pixels] = i + 1
        seen = np.bincount(labels, minlength=len(self) + 1)[1:]
        hidden = tuple(int(i) for i in np.flatnonzero(seen == 0))
        upright = np.ascontiguousarray(labels.reshape(width, height).T)  # (H, W)
        return LabelMap(upright, int(np.count_nonzero(overlap)), hidden)


Instances = InstanceMasks | InstanceRuns


class AsRuns(Mapping[str, InstanceRuns]):
    """Instances by image name; those that are masks are encoded on access."""

    def __init__(self, found: Mapping[str, InstanceMasks] | Mapping[str, InstanceRuns]) -> None:
        """Encode nothing yet."""
        self._found: Mapping[str, Instances] = found

    def __getitem__(self, name: str) -> InstanceRuns:
        """Return an image's instances."""
        own = self._found[name]
        return own if isinstance(own, InstanceRuns) else InstanceRuns.of(own)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._found)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._found)
