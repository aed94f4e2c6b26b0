"""Run RIP class by class: merging happens within a class only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError, Points
from segdemo.rip.inputs import Indices, InputMasks
from segdemo.rip.points import divide_by_points, snap_to_masks
from segdemo.rip.refine import check, refine
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import ROBUST, RIPSettings, WalkSettings


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
    points: Points | None = None,
) -> list[ClassRefinement]:
    """Refine the masks of each class, in rising order; categories: (N,). See `refine`.

    points: (P, 2), one on each object: masks are divided among them instead, each point counts for
    the class of the nearest mask. Raises InputError where the settings are not the walk's then.
    """
    if points is not None:
        return _divide_per_class(masks, categories, edge, scores, settings, points)
    results = []
    for category in np.unique(categories).tolist():
        own = np.flatnonzero(categories == category)
        own_scores = None if scores is None else scores[own]
        results.append(
            ClassRefinement(category, own, refine(masks.select(own), edge, own_scores, settings))
        )
    return results


def _divide_per_class(
    masks: InputMasks,
    categories: npt.NDArray[np.int64],
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None,
    settings: RIPSettings,
    points: Points,
) -> list[ClassRefinement]:
    check(masks, edge, scores)
    if not isinstance(settings, WalkSettings):
        raise InputError("Points are seeds of the random walk: choose preset robust or paper.")
    scores = np.ones(len(masks)) if scores is None else scores
    places = snap_to_masks(points, masks, settings)
    places = places[places[:, 0] >= 0]
    owners = masks.flatten()[tuple(places.T)] - 1
    results = []
    for category in np.unique(categories).tolist():
        own = np.flatnonzero(categories == category)
        of_class = places[categories[owners] == category]
        found = divide_by_points(masks.select(own), of_class, edge, scores[own], settings)
        results.append(ClassRefinement(category, own, found))
    return results
