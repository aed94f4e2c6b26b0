"""A row a picture of how its predicted objects fared, and the figures of many rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluation.average_precision import LIMITS, Matches, match, summarise
from evaluation.neighbours import REACH, touching
from evaluation.objects import Kind, Objects, overlaps
from evaluation.streaming import Row
from segdemo.datatypes import InputError

LABELS: Mapping[Kind, str] = {"segm": "masks", "bbox": "boxes", "boundary": "outlines"}
PROBLEMS = {"problem A": True, "problem B": False}
"""DiffEGG's table 4: pictures where objects touch, and those where none do."""


@dataclass(frozen=True)
class Protocol:
    """What is measured of each picture.

    limits: rising, with COCO's 1, 10, 100 among them. shuffles: how many random orders of equal
    scores. reach: see `neighbours.touching`.
    """

    kinds: tuple[Kind, ...] = ("segm", "bbox", "boundary")
    limits: tuple[int, ...] = LIMITS
    shuffles: int = 0
    reach: int = REACH


def picture_row(truth: Objects, protocol: Protocol) -> Row:
    """Return what is known of a picture without predictions."""
    return {
        "objects": int((~truth.crowd).sum()),
        "crowds": int(truth.crowd.sum()),
        "touching": int(touching(truth, protocol.reach)),
    }


def measured(truth: Objects, found: Objects, protocol: Protocol, number: int) -> Row:
    """Match a picture's predictions; number: its image id, which chance depends on.

    Raises InputError where masks differ in size or are missing.
    """
    _check(truth, found, protocol)
    row: Row = {"predictions": len(found), "matches": {}, "shuffled": {}}
    for kind in protocol.kinds:
        overlap = overlaps(truth, found, kind)
        kept = match(truth, found, overlap, protocol.limits)
        row["matches"][kind] = kept.as_json()
        row["shuffled"][kind] = [
            match(truth, _shuffled(found, (k, number)), overlap, LIMITS, ("",)).as_json()
            for k in range(protocol.shuffles)
        ]
        own = summarise([kept], protocol.limits, ("",))
        row |= {
            f"{LABELS[kind]} {name}": None if math.isnan(own[name]) else 100 * own[name]
            for name in ("AP", "AP50", "AR100")
        }
    return row


def figures_of(rows: Sequence[Row], protocol: Protocol) -> dict[str, float]:
    """Return "row/metric" -> percent over pictures in the order given, by kind and by problem."""
    figures: dict[str, float] = {}
    for kind in protocol.kinds:
        label, kept = LABELS[kind], matches_of(rows, kind)
        figures |= _named(label, summarise(kept, protocol.limits))
        if "segm" in protocol.kinds:
            for problem, wanted in PROBLEMS.items():
                some = [m for m, row in zip(kept, rows, strict=True) if row["touching"] == wanted]
                if some:
                    figures |= _named(f"{label}, {problem}", summarise(some, protocol.limits))
        if protocol.shuffles:
            figures |= _spread(label, rows, kind, protocol)
    return figures


def counts_of(rows: Iterable[Row]) -> dict[str, int]:
    """Return how many there are of pictures, true objects, crowds and predictions."""
    names = {
        "objects": "objects",
        "crowds": "crowds",
        "predictions": "predictions",
        "touching": "pictures with touching objects",
    }
    counts = {"pictures": 0} | dict.fromkeys(names.values(), 0)
    for row in rows:
        counts["pictures"] += 1
        for name, label in names.items():
            counts[label] += row[name]
    return counts


def plain(row: Row) -> Row:
    """Return what a table of pictures shows of a row."""
    return {k: v for k, v in row.items() if k not in ("matches", "shuffled", "classes")}


def _check(truth: Objects, found: Objects, protocol: Protocol) -> None:
    by_masks = any(kind != "bbox" for kind in protocol.kinds)
    if by_masks and (truth.runs is None or found.runs is None):
        whose = "the truth" if truth.runs is None else "the prediction"
        raise InputError(f"{whose} has boxes and no masks: measure --iou bbox only")
    for one in found.runs or ():
        for other in (truth.runs or ())[:1]:
            if tuple(one["size"]) != tuple(other["size"]):
                (a, b), (c, d) = one["size"], other["size"]
                raise InputError(f"a predicted mask is {b} x {a}, the true ones {d} x {c}")


def _shuffled(found: Objects, seed: tuple[int, int]) -> Objects:
    """Return predictions with scores drawn at random: one order of equal scores."""
    return replace(found, scores=np.random.default_rng(seed).random(len(found)))


def _spread(label: str, rows: Sequence[Row], kind: Kind, protocol: Protocol) -> dict[str, float]:
    """Return mean, lowest and highest of each figure over the shuffles."""
    drawn = [
        summarise((Matches.from_json(row["shuffled"][kind][k]) for row in rows), LIMITS, ("",))
        for k in range(protocol.shuffles)
    ]
    figures: dict[str, float] = {}
    for word, choose in (("mean", np.mean), ("lowest", np.min), ("highest", np.max)):
        chosen = {name: float(choose([one[name] for one in drawn])) for name in drawn[0]}
        figures |= _named(f"{label}, {word} of {protocol.shuffles} orders", chosen)
    return figures


def matches_of(rows: Iterable[Row], kind: Kind) -> list[Matches]:
    """Return how each picture fared, for `average_precision.curves`."""
    return [Matches.from_json(row["matches"][kind]) for row in rows]


def _named(row: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{row}/{name}": 100 * value for name, value in figures.items()}
