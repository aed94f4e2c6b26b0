"""A row a picture of how masks fare before and after RIP, and the figures of many rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_api

from evaluation.damage import Damage, damaged
from evaluation.edge_sources import EdgeSource
from evaluation.instance_rows import Protocol, counts_of, figures_of, measured, picture_row
from evaluation.object_sources import ObjectSource, of_masks
from evaluation.objects import Objects
from evaluation.streaming import Row
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.rip.instances import RefinementCounts, refine_instances
from segdemo.rip.settings import RIPSettings

STAGES = ("before", "after")
COMMON = ("name", "objects", "crowds", "touching")


@dataclass(frozen=True)
class Job:
    """One picture: its truth, its base masks (None: the truth, damaged) and its edges.

    size: (height, width) where known.
    """

    number: int
    size: tuple[int, int] | None
    truth: ObjectSource
    base: ObjectSource | None
    edges: EdgeSource


@dataclass(frozen=True)
class Settings:
    """What is done to each picture, and what is measured."""

    damage: Damage | None
    seed: int
    rip: RIPSettings
    protocol: Protocol


def measure_job(job: Job, settings: Settings) -> Row:
    """Damage, repair, match before and after; what is wrong with files stands in `problem`."""
    try:
        done = repaired(job, settings)
        row = picture_row(done.truth, settings.protocol)
        for stage, masks in zip(STAGES, (done.base, done.after), strict=True):
            found = of_masks(masks).with_box_areas()
            one = measured(done.truth, found, settings.protocol, job.number)
            row |= {f"{stage}: {name}": value for name, value in one.items()}
        return row | {f"RIP {name}": value for name, value in vars(done.changes).items()}
    except InputError as error:
        return {"problem": str(error)}


@dataclass(frozen=True)
class Repaired:
    """One picture's true objects, its masks before and after RIP, and what RIP did."""

    truth: Objects
    base: InstanceMasks
    after: InstanceMasks
    changes: RefinementCounts


def repaired(job: Job, settings: Settings) -> Repaired:
    """Read, damage and repair one picture; raises InputError."""
    truth = job.truth.load()
    objects = instances(truth, job.size)
    if job.base is None:
        base = _damaged(objects, job, settings)
    else:
        base = instances(job.base.load(), objects.size)
    edge = job.edges.find(objects.size, lambda: objects.to_label_map().labels)
    return Repaired(truth, base, *refine_instances(base, edge, settings.rip))


def instances(objects: Objects, size: tuple[int, int] | None) -> InstanceMasks:
    """Unpack the masks of objects; raises InputError where there are only boxes.

    size: (height, width), for a picture without objects.
    """
    if objects.runs is None:
        raise InputError("has boxes and no masks: RIP repairs masks")
    if not objects.runs and size is None:
        raise InputError("has no objects, so nothing says how large it is")
    masks = [mask_api.decode(dict(runs)).astype(bool) for runs in objects.runs]
    stack = np.stack(masks) if masks else np.zeros((0, *(size or ())), bool)
    return InstanceMasks(stack, objects.scores.astype(np.float32), crowd=objects.crowd)


def _damaged(truth: InstanceMasks, job: Job, settings: Settings) -> InstanceMasks:
    assert settings.damage is not None and truth.crowd is not None
    rng = np.random.default_rng([settings.seed, job.number])
    return InstanceMasks.unscored(damaged(truth.masks[~truth.crowd], settings.damage, rng))


def stage_rows(rows: Sequence[Row], stage: str) -> list[Row]:
    """Return the rows of one stage, as `instance_rows` names their values."""
    ahead = f"{stage}: "
    return [
        {name.removeprefix(ahead): value for name, value in row.items() if name in COMMON}
        | {name.removeprefix(ahead): value for name, value in row.items() if name.startswith(ahead)}
        for row in rows
    ]


def figures(rows: Sequence[Row], protocol: Protocol) -> dict[str, float]:
    """Return "row/metric": before, after and the gain, by kind and by problem."""
    before, after = (figures_of(stage_rows(rows, stage), protocol) for stage in STAGES)
    named: dict[str, float] = {}
    for label in dict.fromkeys(name.rpartition("/")[0] for name in before):
        metrics = [name for name in before if name.rpartition("/")[0] == label]
        named |= {f"{label}, before/{name.rpartition('/')[2]}": before[name] for name in metrics}
        named |= {f"{label}, after/{name.rpartition('/')[2]}": after[name] for name in metrics}
        named |= {
            f"{label}, gain/{name.rpartition('/')[2]}": after[name] - before[name]
            for name in metrics
        }
    return named


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Return what there was before, and what RIP did."""
    before = counts_of(stage_rows(rows, "before"))
    return (
        {("masks before" if name == "predictions" else name): n for name, n in before.items()}
        | {
            f"masks {word}": sum(row[f"RIP {word}"] for row in rows)
            for word in ("split", "joined", "dropped")
        }
        | {"masks after": sum(row["after: predictions"] for row in rows)}
    )


def table_row(row: Row) -> Row:
    """Return what the table of pictures shows."""
    return {name: value for name, value in row.items() if not isinstance(value, dict)}
