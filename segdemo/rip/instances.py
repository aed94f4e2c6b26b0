"""RIP on instance masks as they come from files: classes stay apart, crowds stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segdemo.datatypes import FloatMap, InstanceMasks, Points
from segdemo.rip.inputs import MaskStack
from segdemo.rip.per_class import refine_per_class
from segdemo.rip.points import snap_to_masks
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import ROBUST, RIPSettings, WalkSettings


@dataclass(frozen=True)
class RefinementCounts:
    """How many inputs were split, merged with others or dropped, and how many instances result.

    unused_points: points on no mask.
    """

    split: int
    joined: int
    dropped: int
    instances: int
    unused_points: int = 0


def refine_instances(
    instances: InstanceMasks,
    edge: FloatMap,
    settings: RIPSettings = ROBUST,
    stuff: Collection[str] = (),
    points: Points | None = None,
) -> tuple[InstanceMasks, RefinementCounts]:
    """Refine instances (N, H, W) by an edge map (H, W); merging happens within a class only.

    stuff: names of classes without instances. Their masks and crowds, regions of many objects, are
    returned unchanged, after the others. points: see `refine_per_class`. Raises InputError as it
    does.
    """
    count = len(instances)
    kept = np.zeros(count, bool) if instances.crowd is None else instances.crowd.copy()
    classes = np.zeros(count, np.int64)
    if instances.category_ids is not None:
        classes = instances.category_ids
        kept |= np.isin(classes, [number for number, n in instances.names.items() if n in stuff])
    single = np.flatnonzero(~kept)
    masks, scores = MaskStack(instances.masks[single]), instances.scores[single].astype(np.float64)
    found = refine_per_class(masks, classes[single], edge, scores, settings, points)
    results = [each.result for each in found]
    new_classes = [np.full(len(each.result.sources), each.category, np.int64) for each in found]
    crowd = None
    if instances.crowd is not None:
        crowd = np.concatenate([np.zeros(sum(map(len, new_classes)), bool), instances.crowd[kept]])
    refined = InstanceMasks(
        np.concatenate([*(result.masks for result in results), instances.masks[kept]]),
        np.concatenate(
            [*(result.scores.astype(np.float32) for result in results), instances.scores[kept]]
        ),
        None if instances.category_ids is None else np.concatenate([*new_classes, classes[kept]]),
        instances.names,
        crowd,
    )
    counts = _counts(results)
    if points is not None and isinstance(settings, WalkSettings):
        unused = int((snap_to_masks(points, masks, settings)[:, 0] < 0).sum())
        counts = replace(counts, unused_points=unused)
    return refined, counts


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
