"""The values that flow between the rooms of this house, and the error that names bad input.

numpy only. Arrays are made read-only and their shape and type are checked once, on entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

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


@dataclass(frozen=True, eq=False)
class EdgeMap:
    """How likely each pixel is an edge between instances.

    probability: (H, W) float32 in [0, 1]. origin: "edge_kl", "diffegg" (its edge generator),
    "diffdis" or "upload".
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

    labels: (h, w) int8. lower, upper: the thresholds. rule: which rule set them. guarded: the
    paper's rule left too few interior cells, so another one was used.
    """

    EDGE: ClassVar[int] = 1
    INTERIOR: ClassVar[int] = 0
    UNCERTAIN: ClassVar[int] = -1

    labels: npt.NDArray[np.int8]
    lower: float
    upper: float
    rule: str
    guarded: bool = False

    def __post_init__(self) -> None:
        """Make the labels read-only."""
        self.labels.flags.writeable = False

    def share(self, label: int) -> float:
        """Return the share of cells that have a label."""
        return float((self.labels == label).mean())


@dataclass(frozen=True, eq=False)
class KLCurve:
    """How much attention changes from each timestep to the next (DiffEGG, PeakKL).

    timesteps: N falling ints. gaps: N - 1 values in nats, gap i between steps i and i + 1.
    peak: index of the chosen step. flat: no gap was above zero, so the choice means nothing.
    """

    timesteps: tuple[int, ...]
    gaps: tuple[float, ...]
    peak: int
    flat: bool

    @property
    def peak_timestep(self) -> int:
        """The timestep PeakKL chooses."""
        return self.timesteps[self.peak]


@dataclass(frozen=True, eq=False)
class AttentionStep:
    """What one timestep's accumulated self-attention looks like, on its grid of (h, w) cells.

    picture: (h, w, 3) uint8, principal components of each cell's attention; colours of all steps of
    a trace are aligned. edge_score: (h, w) float32 >= 0, EdgeKL. attention: (h, w, k, k) float16,
    each cell's attention, its keys averaged over blocks to at most 16 x 16, mass 1. own_other:
    how much more a cell looks at its own instance than at others as far away, or None where no
    instances were given.
    """

    timestep: int
    picture: npt.NDArray[np.uint8]
    edge_score: FloatMap
    attention: npt.NDArray[np.float16]
    own_other: float | None = None

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for values in (self.picture, self.edge_score, self.attention):
            values.flags.writeable = False


@dataclass(frozen=True, eq=False)
class AttentionTrace:
    """The steps of one picture, from noisy to clean, and the curve of their differences.

    layers: names of the layers that were averaged. size: side in pixels the model saw.
    fixed_timestep: edges are wanted near it whatever PeakKL says, or None.
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
        apart = [abs(step.timestep - self.fixed_timestep) for step in self.steps]
        return apart.index(min(apart))

    @property
    def chosen(self) -> AttentionStep:
        """The step whose edges count."""
        return self.steps[self.chosen_index]
