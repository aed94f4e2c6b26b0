"""Run RIP on masks of one class: check the input, and hand it to the algorithm of the settings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError
from segdemo.rip.grid import BoolMask, BoolMasks
from segdemo.rip.inputs import InputMasks, LabelledMasks, MaskStack
from segdemo.rip.refinement import Refinement
from segdemo.rip.region_merging import merge_regions
from segdemo.rip.settings import ROBUST, RegionMergingSettings, RIPSettings, WalkSettings
from segdemo.rip.walk import propagate_instances


def refine(
    masks: BoolMasks | InputMasks,
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None = None,
    settings: RIPSettings = ROBUST,
    support: BoolMask | None = None,
) -> Refinement:
    """Refine instance masks (N, H, W) by an edge map (H, W) in [0, 1], 1 = edge.

    masks: they may overlap, be empty or none. scores: (N,), 1 by default. support: (H, W), pixels
    that instances may not leave, by default all. Raises InputError where sizes disagree or the edge
    is not within [0, 1].
    """
    inputs = MaskStack(masks) if isinstance(masks, np.ndarray) else masks
    check(inputs, edge, scores)
    scores = np.ones(len(inputs)) if scores is None else scores
    match settings:
        case WalkSettings():
            return propagate_instances(inputs, edge, scores, settings, support)
        case RegionMergingSettings():
            return merge_regions(inputs, edge, scores, settings, support)


def refine_labels(
    labels: npt.NDArray[np.integer],
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None = None,
    settings: RIPSettings = ROBUST,
    support: BoolMask | None = None,
) -> Refinement:
    """Refine instances that do not overlap, given as labels (H, W), 0 = background; see `refine`.

    The result is that of the stack of their masks, k = mask k - 1, in less memory. There are as
    many masks as scores, else as the highest label says; labels in between that do not occur are
    empty masks. Also raises InputError for labels below 0 or without a score.
    """
    inputs = LabelledMasks(labels, None if scores is None else len(scores))
    return refine(inputs, edge, scores, settings, support)


def check(masks: InputMasks, edge: FloatMap, scores: npt.NDArray[np.float64] | None) -> None:
    """Raise InputError where sizes disagree or the edge is not within [0, 1]."""
    size = masks.size
    if edge.ndim != 2 or edge.shape != size:
        raise InputError(
            f"The edge map is {edge.shape[-1]} x {edge.shape[0]}, the masks are "
            f"{size[1]} x {size[0]}: give them one size."
        )
    if not (edge.size and edge.min() >= 0 and edge.max() <= 1):
        raise InputError("The edge map must hold values from 0 to 1.")
    if scores is not None and scores.shape != (len(masks),):
        raise InputError(f"{len(scores)} scores for {len(masks)} masks: give one each.")
