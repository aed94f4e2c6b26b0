"""LVIS' federated AP: each picture tells of some classes only, and of some not every object.

Predictions of a class that nobody looked for in a picture do not count there; of classes whose
objects were not all annotated, predictions that match nothing are no mistakes (Gupta et al., 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluation.average_precision import SIZES, Matches, match, summarise
from evaluation.object_sources import Annotations, Results
from evaluation.objects import Kind, overlaps
from evaluation.streaming import Row
from segdemo.datatypes import InputError

LIMIT = 300  # predictions of a picture that count, of all classes together
FREQUENCIES = ("r", "c", "f")  # rare, common, frequent: APr, APc, APf


@dataclass(frozen=True)
class Federation:
    """What LVIS says of one picture.

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


def matches_by_class(truth: Annotations, found: Results, federation: Federation, kind: Kind) -> Row:
    """Return class -> how its predictions in one picture fared, as JSON holds it."""
    scores = [one.get("score", 1) for one in found.annotations]
    best = np.argsort(-np.asarray(scores, float), kind="stable")[:LIMIT]
    top = [found.annotations[i] for i in sorted(best)]
    known = {_class(one) for one in truth.annotations} | federation.absent
    rows: Row = {}
    for category in sorted(known):
        real = replace(truth, annotations=_of_class(truth.annotations, category)).load()
        guessed = replace(found, annotations=_of_class(top, category)).load()
        if not len(real) and not len(guessed):
            continue
        kept = match(real, guessed, overlaps(real, guessed, kind), (LIMIT,))
        if category in federation.partial:
            kept = replace(kept, ignored=kept.ignored | ~kept.matched)
        rows[str(category)] = kept.as_json()
    return rows


def federated_figures(
    rows: Iterable[Row], kind: Kind, frequencies: Mapping[int, str]
) -> dict[str, float]:
    """Return AP, AP50, AP75, those of sizes and frequencies, and AR300, as shares.

    rows: with `classes`, kind -> what `matches_by_class` returned. frequencies: class -> one of
    `FREQUENCIES`. Means over classes that have true objects; NaN where none has.
    """
    by_class: dict[int, list[Matches]] = {}
    for row in rows:
        for category, kept in row["classes"][kind].items():
            by_class.setdefault(int(category), []).append(Matches.from_json(kept))
    of_class = {
        category: summarise(matches, (LIMIT,), tuple(SIZES))
        for category, matches in sorted(by_class.items())
    }
    names = list(next(iter(of_class.values()), {"AP": 0.0}))
    figures = {name: _mean([one[name] for one in of_class.values()]) for name in names}
    for letter in FREQUENCIES:
        some = [one["AP"] for c, one in of_class.items() if frequencies.get(c) == letter]
        figures[f"AP{letter}"] = _mean(some)
    return figures


def _of_class(annotations: Sequence[Mapping[str, Any]], category: int) -> list[Mapping[str, Any]]:
    return [one for one in annotations if _class(one) == category]


def _class(annotation: Mapping[str, Any]) -> int:
    try:
        return int(annotation["category_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("has an object whose category_id is no number") from error


def _mean(values: Iterable[float]) -> float:
    """Return the mean of what is defined."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
