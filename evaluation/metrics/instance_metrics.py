"""One row an image of how its predicted instances were matched, and the figures of many rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluation.metrics.average_precision import LIMITS, Curves, Matches, curves, match, summarize
from evaluation.metrics.instances import Instances, IoUKind, ious
from evaluation.metrics.touching import REACH, touching
from segdemo.datatypes import InputError

Row = dict[str, Any]

LABELS: Mapping[IoUKind, str] = {"segm": "masks", "bbox": "boxes", "boundary": "boundaries"}
PROBLEMS = {"problem A": True, "problem B": False}
"""DiffEGG's table 4: images where objects touch, and those where none do."""


@dataclass(frozen=True)
class Protocol:
    """What is measured of each image.

    limits: rising, with COCO's 1, 10, 100 among them. shuffles: how many random orders of equal
    scores. reach: see `touching.touching`.
    """

    kinds: tuple[IoUKind, ...] = ("segm", "bbox", "boundary")
    limits: tuple[int, ...] = LIMITS
    shuffles: int = 0
    reach: int = REACH


def truth_row(truth: Instances, protocol: Protocol) -> Row:
    """Return what is known of an image without predictions."""
    return {
        "objects": int((~truth.crowd).sum()),
        "crowds": int(truth.crowd.sum()),
        "touching": int(touching(truth, protocol.reach)),
    }


def measure_instances(
    truth: Instances, predictions: Instances, protocol: Protocol, number: int
) -> Row:
    """Match an image's predictions; number: its id, which random orders depend on.

    Raises InputError where masks differ in size or are missing.
    """
    _check(truth, predictions, protocol)
    row: Row = {"predictions": len(predictions), "matches": {}, "shuffled": {}}
    for kind in protocol.kinds:
        overlap = ious(truth, predictions, kind)
        kept = match(truth, predictions, overlap, protocol.limits)
        row["matches"][kind] = kept.to_row()
        row["shuffled"][kind] = [
            match(truth, _shuffled(predictions, (k, number)), overlap, LIMITS, ("",)).to_row()
            for k in range(protocol.shuffles)
        ]
        own = summarize([kept], protocol.limits, ("",))
        row |= {
            f"{LABELS[kind]} {name}": None if math.isnan(own[name]) else 100 * own[name]
            for name in ("AP", "AP50", "AR100")
        }
    return row


def metrics_of(rows: Sequence[Row], protocol: Protocol) -> dict[str, float]:
    """Return "row/metric" -> percent over images in the order given, by kind and by problem."""
    figures: dict[str, float] = {}
    for kind in protocol.kinds:
        label, kept = LABELS[kind], matches_of(rows, kind)
        figures |= _named(label, summarize(kept, protocol.limits))
        if "segm" in protocol.kinds:
            for problem, wanted in PROBLEMS.items():
                some = [m for m, row in zip(kept, rows, strict=True) if row["touching"] == wanted]
                if some:
                    figures |= _named(f"{label}, {problem}", summarize(some, protocol.limits))
        if protocol.shuffles:
            figures |= _spread(label, rows, kind, protocol)
    return figures


def counts_of(rows: Iterable[Row]) -> dict[str, int]:
    """Return how many there are of images, true objects, crowds and predictions."""
    names = {
        "objects": "objects",
        "crowds": "crowds",
        "predictions": "predictions",
        "touching": "images with touching objects",
    }
    counts = {"images": 0} | dict.fromkeys(names.values(), 0)
    for row in rows:
        counts["images"] += 1
        for name, label in names.items():
            counts[label] += row[name]
    return counts


def table_row(row: Row) -> Row:
    """Return what a table of images shows of a row."""
    return {k: v for k, v in row.items() if k not in ("matches", "shuffled", "classes")}


def _check(truth: Instances, predictions: Instances, protocol: Protocol) -> None:
    by_masks = any(kind != "bbox" for kind in protocol.kinds)
    if by_masks and (truth.rle is None or predictions.rle is None):
        whose = "the truth" if truth.rle is None else "the prediction"
        raise InputError(f"{whose} has boxes and no masks: measure --iou bbox only")
    for one in predictions.rle or ():
        for other in (truth.rle or ())[:1]:
            if tuple(one["size"]) != tuple(other["size"]):
                (a, b), (c, d) = one["size"], other["size"]
                raise InputError(f"a predicted mask is {b} x {a}, the true ones {d} x {c}")


def _shuffled(found: Instances, seed: tuple[int, int]) -> Instances:
    """Return predictions with scores drawn at random: one order of equal scores."""
    return replace(found, scores=np.random.default_rng(seed).random(len(found)))


def _spread(label: str, rows: Sequence[Row], kind: IoUKind, protocol: Protocol) -> dict[str, float]:
    """Return mean, lowest and highest of each figure over the shuffles."""
    drawn = [
        summarize((Matches.from_row(row["shuffled"][kind][k]) for row in rows), LIMITS, ("",))
        for k in range(protocol.shuffles)
    ]
    figures: dict[str, float] = {}
    for word, choose in (("mean", np.mean), ("lowest", np.min), ("highest", np.max)):
        chosen = {name: float(choose([one[name] for one in drawn])) for name in drawn[0]}
        figures |= _named(f"{label}, {word} of {protocol.shuffles} orders", chosen)
    return figures


def matches_of(rows: Iterable[Row], kind: IoUKind) -> list[Matches]:
    """Return how each image was matched."""
    return [Matches.from_row(row["matches"][kind]) for row in rows]


def curves_of(rows: Iterable[Row], kind: IoUKind) -> Curves:
    """Return AP over IoU and precision over recall."""
    return curves(matches_of(rows, kind))


def _named(row: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{row}/{name}": 100 * value for name, value in figures.items()}
