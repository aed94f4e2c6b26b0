"""Instances as JSON values, exact to the pixel: how runs and projects keep masks in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from segdemo.annotations import rle
from segdemo.annotations.instance_runs import InstanceRuns, Instances
from segdemo.annotations.notes import MALFORMED
from segdemo.datatypes import InputError


def to_json(found: Instances) -> dict[str, Any]:
    """Return an image's instances as values that JSON holds."""
    masks = found if isinstance(found, InstanceRuns) else InstanceRuns.of(found)
    return {
        "size": masks.size,
        "runs": [counts.decode("ascii") for counts in masks.counts],
        "scores": masks.scores.tolist(),
        "category_ids": _to_list(masks.category_ids),
        "names": {str(number): name for number, name in masks.names.items()},
        "crowd": _to_list(masks.crowd),
    }


def from_json(content: Mapping[str, Any]) -> InstanceRuns:
    """Return the instances that `to_json` was given; raises InputError for other values."""
    try:
        size = content["size"]
        return InstanceRuns(
            rle.runs_size(dict(content)),
            tuple(rle.checked_counts({"size": size, "counts": c}) for c in content["runs"]),
            np.array(content["scores"], np.float32),
            _to_array(content["category_ids"], np.int64),
            {int(number): name for number, name in content["names"].items()},
            _to_array(content["crowd"], np.bool_),
        )
    except MALFORMED as error:
        raise InputError("stored masks are damaged") from error


def _to_list(values: Any) -> list[Any] | None:
    return None if values is None else list(values.tolist())


def _to_array(values: list[Any] | None, dtype: Any) -> Any:
    return None if values is None else np.array(values, dtype)
