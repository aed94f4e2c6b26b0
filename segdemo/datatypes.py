"""The values that flow between modules, and the error that names bad input.

numpy only. Arrays are made read-only and their shape and type are checked once, on entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from segdemo.terminal import printable

RGBImage = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, upright, without alpha."""

FloatMap = npt.NDArray[np.float32]
"""(H, W) float32 in [0, 1]."""

Labels = npt.NDArray[np.integer[Any]]
"""(H, W) whole numbers: 0 = background, every other number one instance."""

Points = npt.NDArray[np.float64]
"""(P, 2): x to the right and y down, in pixels; pixel (column, row) begins at x = column."""

MAX_INSTANCES = 65_535
"""Of one image: what 16 bits tell apart."""

Progress = Callable[[int, int], None]
"""Called with (passes done, passes in all); may raise to stop the work."""


class InputError(ValueError):
    """Invalid input of a user; the message names it and says how to fix it.

    Messages hold names of files and text out of them, so they are escaped for the terminal.
    """

    def __init__(self, message: str) -> None:
        """Make one of a sentence; some list problems, a line each."""
        super().__init__("\n".join(map(printable, message.split("\n"))))


# eq=False: comparing arrays by == has no single answer, and Gradio hashes what sessions hold
@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """A subject's mask and its edge map, at the image's own size.

    mask, edge: (H, W) float32 in [0, 1]; no edge where it was not asked for. uncertainty: the same,
    or None when a single prediction was made. mask_range: darkest and brightest value of the
    decoded mask in [0, 1] before it was stretched to the full range; a narrow range says that
    nothing was found.
    """

    mask: FloatMap
    edge: FloatMap | None
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

    @property
    def known_edge(self) -> FloatMap:
        """The edge map; raises InputError where it was not asked for."""
        if self.edge is None:
            raise InputError("This mask was made without its edge: segment the photo again.")
        return self.edge

    def binary(self, threshold: float = 0.5) -> npt.NDArray[np.bool_]:
        """Return the mask as (H, W) bool: True where it exceeds `threshold`."""
        return self.mask > threshold

    @property
    def found_something(self) -> bool:
        """Whether the decoded mask had enough contrast to be trusted at all."""
        low, high = self.mask_range
        return high - low > 0.3


@dataclass(frozen=True)
class EdgeSource:
    """How a text-to-image model gives edges: by its edge generator, or by EdgeKL of its attention.

    name: what the user called the model. licence: that of its weights. training: what its edge
    generator was trained on, in words; empty: not stated.
    """

    kind: Literal["edge_generator", "edge_kl"]
    name: str
    licence: str
    training: str = ""

    @property
    def label(self) -> str:
        """Say whose edges these are; only what DiffEGG describes is called DiffEGG."""
        if self.kind == "edge_kl":
            return f"DiffEGG: EdgeKL of {self.name}'s attention"
        return f"edge generator of {self.name}" + (f", {self.training}" if self.training else "")


@dataclass(frozen=True, eq=False)
class EdgeMap:
    """How likely each pixel is an edge between instances.

    probability: (H, W) float32 in [0, 1]. origin: "edge_generator" or "edge_kl" (see `EdgeSource`),
    "diffdis", "gradient" or "upload".
    """

    probability: FloatMap
    origin: str

    def __post_init__(self) -> None:
        """Check shape, type and range."""
        values = self.probability
        if values.ndim != 2 or values.dtype != np.float32:
            raise InputError(f"edge map is {values.dtype} {values.shape}, expected float32 (H, W).")
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise InputError("edge map holds values outside 0 to 1.")
        values.flags.writeable = False


@dataclass(frozen=True, eq=False)
class PseudoEdge:
    """Edge, interior and uncertain cells of an EdgeKL score (DiffEGG, Algorithm 2).

    labels: (h, w) int8. lower, upper: the thresholds. rule: which rule set them. used_fallback: the
    paper's rule left too few interior cells, so another one was used.
    """

    EDGE: ClassVar[int] = 1
    INTERIOR: ClassVar[int] = 0
    UNCERTAIN: ClassVar[int] = -1

    labels: npt.NDArray[np.int8]
    lower: float
    upper: float
    rule: str
    used_fallback: bool = False

    def __post_init__(self) -> None:
        """Make the labels read-only."""
        self.labels.flags.writeable = False

    def share(self, label: int) -> float:
        """Return the share of cells that have a label."""
        return float((self.labels == label).mean())


def nearest_timestep(timesteps: Sequence[int], wanted: int) -> int:
    """Return the index of the timestep nearest to the wanted one; of equally near ones the first.

    For a curve that is measured already, see `KLCurve.nearest`.
    """
    return min(range(len(timesteps)), key=lambda i: abs(timesteps[i] - wanted))


@dataclass(frozen=True, eq=False)
class KLCurve:
    """How much attention changes from each timestep to the next (DiffEGG, PeakKL).

    timesteps: N falling ints. gaps: N - 1 values in nats, gap i between steps i and i + 1.
    peak: index of the chosen step. no_peak: no gap was above zero, so the choice means nothing.
    """

    timesteps: tuple[int, ...]
    gaps: tuple[float, ...]
    peak: int
    no_peak: bool

    @property
    def peak_timestep(self) -> int:
        """The timestep PeakKL chooses."""
        return self.timesteps[self.peak]

    @property
    def largest_gap(self) -> int | None:
        """Index of the largest gap, of equal ones the noisier; None where all are zero."""
        return None if self.no_peak else self.gaps.index(max(self.gaps))

    def pair(self, gap: int) -> tuple[int, int]:
        """Return the two timesteps that a gap lies between, the noisier first."""
        return self.timesteps[gap], self.timesteps[gap + 1]

    def nearest(self, timestep: int) -> int:
        """Return the index of the step nearest to a timestep."""
        return nearest_timestep(self.timesteps, timestep)


@dataclass(frozen=True, eq=False)
class AttentionStep:
    """What one timestep's accumulated self-attention looks like, on its grid of (h, w) cells.

    picture: (h, w, 3) uint8, principal components of each cell's attention, turned to fit the step
    before: neighbours can be compared by colour, over many steps colours drift. edge_score: (h, w)
    float32 >= 0, EdgeKL. attention: (h, w, k, k) float16, each cell's attention, its keys summed
    over blocks to at most 16 x 16, mass 1. attention_ratio:
    intra- over inter-instance attention, how much more a cell looks at its own instance than at
    others as far away, or None where no instances were given.
    """

    timestep: int
    picture: npt.NDArray[np.uint8]
    edge_score: FloatMap
    attention: npt.NDArray[np.float16]
    attention_ratio: float | None = None

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for values in (self.picture, self.edge_score, self.attention):
            values.flags.writeable = False


@dataclass(frozen=True, eq=False)
class AttentionTrace:
    """The steps of one image, from noisy to clean, and the curve of their differences.

    layers: names of the layers that were averaged. size: side in pixels the model saw.
    fixed_timestep: edges are taken near it in place of PeakKL's choice, or None.
    """

    steps: tuple[AttentionStep, ...]
    curve: KLCurve
    layers: tuple[str, ...]
    size: int
    fixed_timestep: int | None = None

    @property
    def chosen_index(self) -> int:
        """Index of the step whose edges count: the nearest to the fixed one, else PeakKL's."""
        if self.fixed_timestep is None:
            return self.curve.peak
        return self.curve.nearest(self.fixed_timestep)

    @property
    def chosen(self) -> AttentionStep:
        """The step whose edges count."""
        return self.steps[self.chosen_index]


Front = Literal["smaller", "later", "score"]
"""Which of two overlapping instances keeps the pixels both claim: the one with fewer pixels (equal
ones: the later), the later one, or the one of the higher score (equal ones: the smaller)."""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Instances flattened to one label a pixel.

    labels: (H, W) int32, 0 = background, i + 1 = instance i. overlapped: pixels that more than one
    instance claimed. hidden: instances without a pixel left, by index; their labels are not used.
    """

    labels: npt.NDArray[np.int32]
    overlapped: int
    hidden: tuple[int, ...]

    def __post_init__(self) -> None:
        """Make the labels read-only."""
        self.labels.flags.writeable = False


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """The instances of one image; they may overlap, be empty, and number 0.

    masks: (N, H, W) bool. scores: (N,) float32, 1 where nothing is known. category_ids: (N,) int64,
    0 or above, or None where classes are unknown. names: what categories are called; it may name
    more than occur, and need not name all. crowd: (N,) bool, regions of many objects not told apart
    (COCO's iscrowd), or None where there are none.
    """

    masks: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]
    category_ids: npt.NDArray[np.int64] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    crowd: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Check shapes, types and ranges; keep a copy of the names."""
        masks = self.masks
        if masks.ndim != 3 or masks.dtype != np.bool_ or 0 in masks.shape[1:]:
            raise InputError(f"masks are {masks.dtype} {masks.shape}, expected bool (N, H, W).")
        object.__setattr__(self, "names", dict(self.names))  # theirs may change
        check_columns(self, len(masks))
        masks.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.masks)

    @property
    def size(self) -> tuple[int, int]:
        """The image's (height, width)."""
        return self.masks.shape[1], self.masks.shape[2]

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each instance, (N,)."""
        return np.count_nonzero(self.masks, axis=(1, 2)).astype(np.int64)

    @classmethod
    def unscored(
        cls,
        masks: npt.NDArray[np.bool_],
        category_ids: npt.NDArray[np.int64] | None = None,
        names: Mapping[int, str] | None = None,
        crowd: npt.NDArray[np.bool_] | None = None,
    ) -> InstanceMasks:
        """Make instances whose scores are all 1."""
        return cls(masks, np.ones(len(masks), np.float32), category_ids, names or {}, crowd)

    @classmethod
    def from_label_map(cls, labels: npt.NDArray[np.integer]) -> InstanceMasks:
        """Make one instance of every number above 0 in (H, W) labels, in rising order.

        Raises InputError for other shapes, numbers that are not whole, or below 0.
        """
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise InputError(f"labels are {labels.dtype} {labels.shape}, expected whole (H, W).")
        ids = np.unique(labels)
        if ids.size and ids[0] < 0:
            raise InputError(f"labels hold {ids[0]}: ids start at 0, the background.")
        ids = ids[ids != 0]
        masks = np.empty((len(ids), *labels.shape), np.bool_)
        for mask, number in zip(masks, ids, strict=True):
            np.equal(labels, number, out=mask)
        return cls.unscored(masks)

    def to_label_map(self, front: Front = "smaller") -> LabelMap:
        """Flatten the instances; where they overlap, the one in front keeps the pixel.

        Crowds lie behind all others.
        """
        order = back_to_front(self.areas, self.scores, self.crowd, front)
        labels = np.zeros(self.size, np.int32)
        overlap = np.zeros(self.size, np.bool_)
        for i in order:  # from the back to the front
            overlap |= self.masks[i] & (labels > 0)
            labels[self.masks[i]] = i + 1
        seen = np.bincount(labels.ravel(), minlength=len(self) + 1)[1:]
        hidden = tuple(int(i) for i in np.flatnonzero(seen == 0))
        return LabelMap(labels, int(np.count_nonzero(overlap)), hidden)


def check_columns(instances: Any, count: int) -> None:
    """Check what instances have for each mask, and make it read-only; raises InputError.

    instances: they have scores, category_ids and crowd as `InstanceMasks`.
    """
    for name, dtype in (("scores", np.float32), ("category_ids", np.int64), ("crowd", np.bool_)):
        values = getattr(instances, name)
        if values is None:
            continue
        if values.shape != (count,) or values.dtype != dtype:
            raise InputError(
                f"{name} are {values.dtype} {values.shape}, expected {np.dtype(dtype)} "
                f"({count},): one for each mask."
            )
        values.flags.writeable = False
    if not np.isfinite(instances.scores).all():
        raise InputError("scores hold values that are not numbers.")
    if instances.category_ids is not None and (instances.category_ids < 0).any():
        raise InputError("category_ids hold numbers below 0.")


def back_to_front(
    areas: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    crowd: npt.NDArray[np.bool_] | None,
    front: Front,
) -> list[int]:
    """Return the indices of instances in the order they are drawn; crowds come first."""

    def depth(i: int) -> tuple[float, ...]:
        area = int(areas[i])
        key = {"smaller": (-area,), "later": (), "score": (float(scores[i]), -area)}[front]
        return (crowd is None or not crowd[i], *key, i)

    return sorted(range(len(areas)), key=depth)
