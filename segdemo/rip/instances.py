"""RIP on instances as they come from files: classes stay apart, crowds stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segdemo.datatypes import FloatMap, InstanceMasks
from segdemo.rip.refine import ROBUST, Refinement, RIPSettings, refine


@dataclass(frozen=True)
class Repair:
    """How many inputs were split, joined with others, dropped; and how many instances came out."""

    split: int
    joined: int
    dropped: int
    instances: int


def refine_instances(
    instances: InstanceMasks, edge: FloatMap, settings: RIPSettings = ROBUST
) -> tuple[InstanceMasks, Repair]:
    """Repair instances (N, H, W) by an edge map (H, W); merging happens within a class only.

    Crowds are regions of many objects and are returned untouched, after the others. Raises
    InputError as `refine` does.
    """
    count = len(instances)
    crowd = np.zeros(count, bool) if instances.crowd is None else instances.crowd
    classes = np.zeros(count, np.int64)
    if instances.category_ids is not None:
        classes = instances.category_ids
    masks, scores, ids = [instances.masks[:0]], [instances.scores[:0]], [classes[:0]]
    repairs = []
    for category in np.unique(classes[~crowd]):
        own = ~crowd & (classes == category)
        refined = refine(instances.masks[own], edge, instances.scores[own], settings)
        repairs.append(refined)
        masks.append(refined.masks)
        scores.append(refined.scores.astype(np.float32))
        ids.append(np.full(len(refined.sources), category))
    masks.append(instances.masks[crowd])
    scores.append(instances.scores[crowd])
    ids.append(classes[crowd])
    is_crowd = np.zeros(sum(map(len, masks)), bool)
    is_crowd[len(is_crowd) - crowd.sum() :] = True
    repaired = InstanceMasks(
        np.concatenate(masks),
        np.concatenate(scores),
        None if instances.category_ids is None else np.concatenate(ids),
        instances.names,
        None if instances.crowd is None else is_crowd,
    )
    return repaired, _summary(repairs)


def _summary(repairs: list[Refinement]) -> Repair:
    joined = {
        (number, index)
        for number, repair in enumerate(repairs)
        for source in repair.sources
        if len(source) > 1
        for index in source
    }
    return Repair(
        split=sum(len(repair.split) for repair in repairs),
        joined=len(joined),
        dropped=sum(len(repair.dropped) for repair in repairs),
        instances=sum(len(repair.sources) for repair in repairs),
    )
