"""RIP on instance masks as they come from files: classes stay apart, crowds stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segdemo.datatypes import FloatMap, InstanceMasks
from segdemo.rip.inputs import MaskStack
from segdemo.rip.per_class import refine_per_class
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import ROBUST, RIPSettings


@dataclass(frozen=True)
class RefinementCounts:
    """How many inputs were split, merged with others or dropped, and how many instances result."""

    split: int
    joined: int
    dropped: int
    instances: int


def refine_instances(
    instances: InstanceMasks, edge: FloatMap, settings: RIPSettings = ROBUST
) -> tuple[InstanceMasks, RefinementCounts]:
    """Refine instances (N, H, W) by an edge map (H, W); merging happens within a class only.

    Crowds are regions of many objects and are returned unchanged, after the others. Raises
    InputError as `refine` does.
    """
    count = len(instances)
    crowd = np.zeros(count, bool) if instances.crowd is None else instances.crowd
    classes = np.zeros(count, np.int64)
    if instances.category_ids is not None:
        classes = instances.category_ids
    single = np.flatnonzero(~crowd)
    found = refine_per_class(
        MaskStack(instances.masks[single]),
        classes[single],
        edge,
        instances.scores[single].astype(np.float64),
        settings,
    )
    results = [each.result for each in found]
    new_classes = [np.full(len(each.result.sources), each.category, np.int64) for each in found]
    crowds = int(crowd.sum())
    refined = InstanceMasks(
        np.concatenate([*(result.masks for result in results), instances.masks[crowd]]),
        np.concatenate(
            [*(result.scores.astype(np.float32) for result in results), instances.scores[crowd]]
        ),
        None if instances.category_ids is None else np.concatenate([*new_classes, classes[crowd]]),
        instances.names,
        None
        if instances.crowd is None
        else np.arange(sum(map(len, new_classes)) + crowds) >= sum(map(len, new_classes)),
    )
    return refined, _counts(results)


def _counts(results: Sequence[Refinement]) -> RefinementCounts:
    joined = [
        {index for source in result.sources if len(source) > 1 for index in source}
        for result in results
    ]
    return RefinementCounts(
        split=sum(len(result.split) for result in results),
        joined=sum(map(len, joined)),
        dropped=sum(len(result.dropped) for result in results),
        instances=sum(len(result.sources) for result in results),
    )
