"""Average precision and recall of instances by COCO's protocol, all classes as one.

Each image is matched for itself (`match`), what is kept of it is a few bytes an instance, and
`summarize` makes the figures of any set of images from these: that is what a killed run resumes
from, and what a hundred thousand images fit into. pycocotools and faster-coco-eval keep matches to
themselves and the IoUs of all images in memory, so the two steps are written here; the tests
compare the figures with faster-coco-eval's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.metrics.instances import Instances, Values

LIMITS = (1, 10, 100)  # most predictions of an image that count
SIZES = {"": (0, 1e10), "s": (0, 32**2), "m": (32**2, 96**2), "l": (96**2, 1e10)}
"""Lowest and highest area of what counts, in pixels, by the letter behind AP and AR."""
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)  # where precision is read

_Bits = npt.NDArray[np.uint16]  # bit t belongs to the t-th IoU threshold
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matches:
    """How one image's predictions were matched, the best first, at most the highest limit.

    scores: (D,). truths: for each size, how many true instances count. matched, ignored: (sizes, D)
    uint16, bit t set where prediction d found a true instance at the t-th IoU, or does not count.
    """

    scores: Values
    truths: tuple[int, ...]
    matched: _Bits
    ignored: _Bits

    def to_row(self) -> dict[str, Any]:
        """Return what a row holds and `from_row` reads."""
        return vars(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Matches:
        """Read what `to_row` returned."""
        return cls(row["scores"], tuple(row["truths"]), row["matched"], row["ignored"])


def match(
    truth: Instances,
    predictions: Instances,
    ious: Values,
    limits: Sequence[int] = LIMITS,
    sizes: Sequence[str] = tuple(SIZES),
) -> Matches:
    """Match one image's predictions to the truth; of equal scores the earlier is matched first.

    ious: (D, G), see `instances.ious`. limits: rising; predictions beyond the last do not count.
    A prediction takes the free true instance of highest IoU, one that does not count (a crowd,
    another size) only where no other is left; a crowd is never used up. Predictions of another
    size that match nothing do not count either.
    """
    order = np.argsort(-predictions.scores, kind="stable")[: limits[-1]]
    predictions, ious = predictions.in_order(order), ious[order]
    ranges = np.array([SIZES[size] for size in sizes])  # (S, 2)
    ignored_truth = truth.crowd | _outside(truth.areas, ranges)  # (S, G)
    matched = np.zeros((len(sizes), len(IOU_THRESHOLDS), len(predictions)), bool)  # (S, T, D)
    ignored = np.zeros_like(matched)
    taken = np.zeros((len(sizes), len(IOU_THRESHOLDS), len(truth)), bool)  # (S, T, G)
    near = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # (T, 1)
    # an IoU below the lowest threshold never matches: most predictions need no work
    for d in np.flatnonzero(ious.max(1, initial=0) >= IOU_THRESHOLDS[0]):
        free = (ious[d] >= near) & ~(taken & ~truth.crowd)  # (S, T, G)
        counted = free & ~ignored_truth[:, None]
        candidates = np.where(counted.any(2, keepdims=True), counted, free)
        # of equal IoUs the last, as in COCO's code
        best = len(truth) - 1 - np.where(candidates, ious[d], -1)[..., ::-1].argmax(2)  # (S, T)
        s, t = np.nonzero(candidates.any(2))
        taken[s, t, best[s, t]] = matched[s, t, d] = True
        ignored[s, t, d] = ignored_truth[s, best[s, t]]
    ignored |= ~matched & _outside(predictions.areas, ranges)[:, None]
    truths = tuple((~ignored_truth).sum(1).tolist())
    return Matches(predictions.scores, truths, _packed(matched), _packed(ignored))


def summarize(
    matches: Iterable[Matches],
    limits: Sequence[int] = LIMITS,
    sizes: Sequence[str] = tuple(SIZES),
) -> dict[str, float]:
    """Return the figures over images in the order given, as shares; NaN without true instances.

    AP, AP50, AP75 and those of sizes at the limit of 100, or the highest below it; AR at each
    limit; limits above 100 add AP@limit.
    """
    kept = list(matches)
    usual = max(
        (n for n, limit in enumerate(limits) if limit <= LIMITS[-1]), default=len(limits) - 1
    )
    whole = [_precision_recall(kept, 0, limit) for limit in limits]
    by_size = {size: _precision_recall(kept, i, limits[usual]) for i, size in enumerate(sizes) if i}
    precision, _ = whole[usual]
    figures = {"AP": precision.mean(), "AP50": precision[0].mean(), "AP75": precision[5].mean()}
    figures |= {f"AP{size}": of_size[0].mean() for size, of_size in by_size.items()}
    figures |= {f"AR{limit}": one[1].mean() for limit, one in zip(limits, whole, strict=True)}
    figures |= {f"AR{size}": of_size[1].mean() for size, of_size in by_size.items()}
    for limit, one in list(zip(limits, whole, strict=True))[usual + 1 :]:
        figures[f"AP@{limit}"] = one[0].mean()
    return {name: float(value) for name, value in figures.items()}


@dataclass(frozen=True, eq=False)
class Curves:
    """ap: (10,) AP at each of `IOU_THRESHOLDS`. precision: (10, 101) over `RECALLS`.

    NaN without true instances.
    """

    ap: Values
    precision: Values


def curves(matches: Iterable[Matches], limits: Sequence[int] = LIMITS) -> Curves:
    """Return precision over recall at each IoU, all sizes, at the highest limit."""
    precision, _ = _precision_recall(list(matches), 0, limits[-1])
    return Curves(precision.mean(1), precision)


def _precision_recall(kept: Sequence[Matches], size: int, limit: int) -> tuple[Values, Values]:
    """Return precision (T, 101) over `RECALLS` and the highest recall (T,); NaN without truth."""
    count = len(IOU_THRESHOLDS)
    precision = np.full((count, len(RECALLS)), math.nan)
    recall = np.full(count, math.nan)
    truths = sum(one.truths[size] for one in kept)
    if not truths:
        return precision, recall
    scores = np.concatenate([one.scores[:limit] for one in kept])
    order = np.argsort(-scores, kind="stable")
    matched, ignored = (
        _unpacked(np.concatenate([bits[size, :limit] for bits in some])[order], count)  # (T, D)
        for some in ([one.matched for one in kept], [one.ignored for one in kept])
    )
    right = np.cumsum(matched & ~ignored, axis=1, dtype=float)
    wrong = np.cumsum(~matched & ~ignored, axis=1, dtype=float)
    recalls = right / truths
    envelope = right / (wrong + right + np.spacing(1))
    envelope = np.maximum.accumulate(envelope[:, ::-1], axis=1)[:, ::-1]
    for t in range(count):
        places = np.searchsorted(recalls[t], RECALLS)
        reached = places < len(order)
        precision[t] = 0
        precision[t, reached] = envelope[t, places[reached]]
        recall[t] = recalls[t, -1] if len(order) else 0
    return precision, recall


def _outside(areas: Values, ranges: Values) -> _Flags:
    """Return which areas (N,) lie outside each range (S, 2): (S, N)."""
    return np.asarray((areas < ranges[:, :1]) | (areas > ranges[:, 1:]))


def _packed(flags: _Flags) -> _Bits:
    """Turn (S, T, D) flags into (S, D) numbers."""
    weights = 1 << np.arange(flags.shape[1])
    return np.asarray((flags * weights[:, None]).sum(1), np.uint16)


def _unpacked(numbers: _Bits, count: int) -> _Flags:
    """Turn D numbers into (count, D) flags."""
    return (numbers.astype(np.int64) >> np.arange(count)[:, None] & 1).astype(bool)
