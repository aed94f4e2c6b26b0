"""LVIS' federated AP: each image tells of some classes only, and of some not every object.

Predictions of a class that nobody looked for in an image do not count there; of classes whose
objects were not all annotated, predictions that match nothing are no mistakes (Gupta et al., 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evaluation.metrics.average_precision import SIZES, Matches, match, summarize
from evaluation.metrics.instance_metrics import Row
from evaluation.metrics.instances import Instances, IoUKind, ious

LIMIT = 300  # predictions of an image that count, of all classes together
NOTHING = Instances.from_rle([])
FREQUENCIES = ("r", "c", "f")  # rare, common, frequent: APr, APc, APf


@dataclass(frozen=True)
class Federation:
    """What LVIS says of one image.

    absent: classes that were looked for and not found. partial: classes of which objects may be
    there that were not annotated.
    """

    absent: frozenset[int]
    partial: frozenset[int]


def federation_of(image: Mapping[str, Any]) -> Federation | None:
    """Read it from an image of LVIS' JSON; None where the JSON is not LVIS'."""
    if "neg_category_ids" not in image:
        return None
    partial = image.get("not_exhaustive_category_ids", ())
    return Federation(frozenset(image["neg_category_ids"]), frozenset(partial))


def matches_by_class(
    truth: Mapping[int, Instances],
    predictions: Mapping[int, Instances],
    federation: Federation,
    kind: IoUKind,
) -> Row:
    """Return class -> how its predictions in one image were matched, as rows hold it.

    truth: the true instances by class. predictions: the `LIMIT` best of the image, by class.
    """
    rows: Row = {}
    for category in sorted(truth.keys() | federation.absent):
        real, guessed = truth.get(category, NOTHING), predictions.get(category, NOTHING)
        if not len(real) and not len(guessed):
            continue
        kept = match(real, guessed, ious(real, guessed, kind), (LIMIT,))
        if category in federation.partial:
            kept = replace(kept, ignored=kept.ignored | ~kept.matched)
        rows[str(category)] = kept.to_row()
    return rows


def federated_figures(
    rows: Iterable[Row], kind: IoUKind, frequencies: Mapping[int, str]
) -> dict[str, float]:
    """Return AP, AP50, AP75, those of sizes and frequencies, and AR300, as shares.

    rows: with `classes`, kind -> what `matches_by_class` returned. frequencies: class -> one of
    `FREQUENCIES`. Means over classes that have true objects; NaN where none has.
    """
    by_class: dict[int, list[Matches]] = {}
    for row in rows:
        for category, kept in row["classes"][kind].items():
            by_class.setdefault(int(category), []).append(Matches.from_row(kept))
    of_class = {
        category: summarize(matches, (LIMIT,), tuple(SIZES))
        for category, matches in sorted(by_class.items())
    }
    names = list(next(iter(of_class.values()), {"AP": 0.0}))
    figures = {name: _mean([one[name] for one in of_class.values()]) for name in names}
    for letter in FREQUENCIES:
        some = [one["AP"] for c, one in of_class.items() if frequencies.get(c) == letter]
        figures[f"AP{letter}"] = _mean(some)
    return figures


def _mean(values: Iterable[float]) -> float:
    """Return the mean of what is defined."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
