"""Average precision and recall of instances by COCO's protocol; pycocotools is the engine.

All classes count as one. Each picture is matched for itself (`match`), what is kept of it is a few
bytes an instance, and `summarise` makes the figures of any set of pictures from these.
"""

from __future__ import annotations

import base64
import contextlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.cocoeval import COCOeval

from evaluation.objects import Objects, Values

LIMITS = (1, 10, 100)  # most predictions of a picture that count
SIZES = {"": (0, 1e10), "s": (0, 32**2), "m": (32**2, 96**2), "l": (96**2, 1e10)}
"""Lowest and highest area of what counts, in pixels, by the letter behind AP and AR."""

_Bits = npt.NDArray[np.uint16]  # bit t belongs to the t-th IoU


@dataclass(frozen=True, eq=False)
class Matches:
    """How one picture's predictions went, the best first, at most the highest limit.

    scores: (D,). truths: for each size, how many true objects count. matched, ignored: (sizes, D)
    uint16, bit t set where prediction d found a true object at the t-th IoU, or does not count.
    """

    scores: Values
    truths: tuple[int, ...]
    matched: _Bits
    ignored: _Bits

    def as_json(self) -> dict[str, Any]:
        """Return what JSON holds and `from_json` reads."""
        return {
            "scores": base64.b64encode(self.scores.astype("<f8").tobytes()).decode(),
            "truths": list(self.truths),
            "matched": base64.b64encode(self.matched.astype("<u2").tobytes()).decode(),
            "ignored": base64.b64encode(self.ignored.astype("<u2").tobytes()).decode(),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Matches:
        """Read what `as_json` returned."""
        matched, ignored = (
            np.frombuffer(base64.b64decode(row[name]), "<u2").reshape(len(row["truths"]), -1)
            for name in ("matched", "ignored")
        )
        scores = np.frombuffer(base64.b64decode(row["scores"]), "<f8")
        return cls(scores, tuple(row["truths"]), matched, ignored)


def match(
    truth: Objects,
    found: Objects,
    overlap: Values,
    limits: Sequence[int] = LIMITS,
    sizes: Sequence[str] = tuple(SIZES),
) -> Matches:
    """Match one picture's predictions to the truth; of equal scores the earlier is matched first.

    overlap: (D, G), see `objects.overlaps`. limits: rising; predictions beyond the last do not
    count.
    """
    order = np.argsort(-found.scores, kind="stable")[: limits[-1]]
    found, overlap = found.in_order(order), overlap[order]
    evaluation = _evaluation(limits, sizes)
    # numbered from 1: pycocotools takes id 0 for "not matched"
    evaluation._gts = {(0, 1): [_annotation(truth, i) for i in range(len(truth))]}
    evaluation._dts = {(0, 1): [_annotation(found, i) for i in range(len(found))]}
    evaluation.ious = {(0, 1): overlap if overlap.size else []}
    matched = np.zeros((len(sizes), len(found)), np.uint16)
    ignored, truths = np.zeros_like(matched), [0] * len(sizes)
    for i, size in enumerate(sizes):
        result = evaluation.evaluateImg(0, 1, SIZES[size], limits[-1])
        if result is not None:
            matched[i] = _packed(result["dtMatches"] > 0)
            ignored[i] = _packed(result["dtIgnore"] > 0)
            truths[i] = int(np.count_nonzero(result["gtIgnore"] == 0))
    return Matches(found.scores, tuple(truths), matched, ignored)


def summarise(
    matches: Iterable[Matches],
    limits: Sequence[int] = LIMITS,
    sizes: Sequence[str] = tuple(SIZES),
) -> dict[str, float]:
    """Return the figures over pictures in the order given, as shares; NaN without true objects.

    AP, AP50, AP75 and those of sizes at the limit of 100, or the highest below it; AR at each
    limit; limits above 100 add AP@limit.
    """
    evaluation = _accumulated(matches, limits, sizes)
    precision, recall = evaluation["precision"], evaluation["recall"]
    usual = max(
        (n for n, limit in enumerate(limits) if limit <= LIMITS[-1]), default=len(limits) - 1
    )
    figures = {"AP": _mean(precision[:, :, 0, 0, usual])}
    figures["AP50"] = _mean(precision[0, :, 0, 0, usual])
    figures["AP75"] = _mean(precision[5, :, 0, 0, usual])
    for i, size in list(enumerate(sizes))[1:]:
        figures[f"AP{size}"] = _mean(precision[:, :, 0, i, usual])
    for n, limit in enumerate(limits):
        figures[f"AR{limit}"] = _mean(recall[:, 0, 0, n])
    for i, size in list(enumerate(sizes))[1:]:
        figures[f"AR{size}"] = _mean(recall[:, 0, i, usual])
    for n, limit in list(enumerate(limits))[usual + 1 :]:
        figures[f"AP@{limit}"] = _mean(precision[:, :, 0, 0, n])
    return figures


@dataclass(frozen=True, eq=False)
class Curves:
    """thresholds: (10,) IoUs. ap: (10,) AP at each. precision: (10, 101) over recall 0, 0.01 .. 1.

    NaN without true objects.
    """

    thresholds: Values
    ap: Values
    precision: Values


def curves(matches: Iterable[Matches], limits: Sequence[int] = LIMITS) -> Curves:
    """Return precision over recall at each IoU, all sizes, at the highest limit."""
    evaluation = _accumulated(matches, limits, ("",))
    precision = evaluation["precision"][:, :, 0, 0, -1]
    precision = np.where(precision < 0, np.nan, precision)
    return Curves(evaluation["params"].iouThrs, precision.mean(1), precision)


def _accumulated(
    matches: Iterable[Matches], limits: Sequence[int], sizes: Sequence[str]
) -> dict[str, Any]:
    evaluation = _evaluation(limits, sizes)
    kept = list(matches)
    bits = len(evaluation.params.iouThrs)
    evaluation.params.imgIds = list(range(len(kept)))
    evaluation._paramsEval = evaluation.params
    evaluation.evalImgs = [
        {
            "dtScores": one.scores,
            "dtMatches": _unpacked(one.matched[i], bits),
            "dtIgnore": _unpacked(one.ignored[i], bits),
            "gtIgnore": np.zeros(one.truths[i]),
        }
        for i in range(len(sizes))
        for one in kept
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        evaluation.accumulate()
    figures: dict[str, Any] = evaluation.eval
    return figures


def _evaluation(limits: Sequence[int], sizes: Sequence[str]) -> Any:
    """Return COCO's evaluation of one class, without data."""
    evaluation = COCOeval(iouType="segm")
    evaluation.params.catIds = [1]
    evaluation.params.maxDets = list(limits)
    evaluation.params.areaRng = [SIZES[size] for size in sizes]
    return evaluation


def _annotation(objects: Objects, i: int) -> dict[str, Any]:
    crowd = int(objects.crowd[i])
    return {
        "id": i + 1,
        "area": objects.areas[i],
        "score": objects.scores[i],
        "iscrowd": crowd,
        "ignore": crowd,
    }


def _packed(flags: npt.NDArray[np.bool_]) -> _Bits:
    """Turn (T, D) flags into D numbers."""
    weights = 1 << np.arange(len(flags))
    return (weights @ flags).astype(np.uint16)


def _unpacked(numbers: _Bits, count: int) -> npt.NDArray[np.bool_]:
    """Turn D numbers into (count, D) flags."""
    return (numbers.astype(np.int64) >> np.arange(count)[:, None] & 1).astype(bool)


def _mean(values: Values) -> float:
    """Return the mean of what is defined; pycocotools marks the rest by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if len(defined) else math.nan
