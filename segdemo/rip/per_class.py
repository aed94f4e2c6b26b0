"""Run RIP class by class: merging happens within a class only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap
from segdemo.rip.inputs import Indices, InputMasks
from segdemo.rip.refine import refine
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import ROBUST, RIPSettings


@dataclass(frozen=True, eq=False)
class ClassRefinement:
    """The result for one class; inputs: (n,) indices of its masks among all."""

    category: int
    inputs: Indices
    result: Refinement


def refine_per_class(
    masks: InputMasks,
    categories: npt.NDArray[np.int64],
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None = None,
    settings: RIPSettings = ROBUST,
) -> list[ClassRefinement]:
    """Refine the masks of each class, in rising order; categories: (N,). See `refine`."""
    results = []
    for category in np.unique(categories).tolist():
        own = np.flatnonzero(categories == category)
        own_scores = None if scores is None else scores[own]
        results.append(
            ClassRefinement(category, own, refine(masks.select(own), edge, own_scores, settings))
        )
    return results
