"""Label PNGs that know their instances: ids in the pixels, classes in a text chunk (tEXt).

Other tools read the ids and pass over the chunk `segdemo`, ASCII JSON: {"image": file name,
"instances": {"7": {"class": "cat", "score": 0.9, "crowd": true}}}; what is as usual is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.notes import MALFORMED
from segdemo.annotations.palette import palette
from segdemo.annotations.stored_ids import opened
from segdemo.datatypes import Labels
from segdemo.files import PNG_COMPRESSION, atomic_write

CHUNK = "segdemo"
UNLABELLED = "unlabelled"
"""The class of instances without one, where others of their image have some."""
_PALETTE_IDS = 254


@dataclass(frozen=True)
class InstanceFacts:
    """What a label PNG tells of one instance; label: the name of its class or None."""

    label: str | None = None
    score: float = 1.0
    crowd: bool = False


def write_label_png(
    labels: Labels, facts: Mapping[int, InstanceFacts], image: str, path: Path
) -> None:
    """Write ids (H, W) below 65,536: 8 bit with a palette up to 254, else 16 bit.

    image: the name of the image they belong to. Raises OSError.
    """
    if labels.max(initial=0) <= _PALETTE_IDS:
        picture = Image.fromarray(labels.astype(np.uint8), "P")
        picture.putpalette(palette())
    else:
        picture = Image.fromarray(labels.astype(np.uint16))
    told = {str(number): _told(one) for number, one in facts.items()}
    notes = PngInfo()
    notes.add_text(CHUNK, json.dumps({"image": image, "instances": told}))
    with atomic_write(path) as stream:
        picture.save(stream, "PNG", compress_level=PNG_COMPRESSION, pnginfo=notes)


def read_facts(path: Path, file: str) -> tuple[str, dict[int, InstanceFacts]] | None:
    """Read the image's name and what is told of its instances; None where a file tells nothing.

    Raises InputError for what is no image.
    """
    with opened(path, file) as image:
        text = image.info.get(CHUNK)
    if not isinstance(text, str):
        return None
    try:
        content = json.loads(text)
        facts = {int(number): _read(one) for number, one in content["instances"].items()}
        return str(content["image"]), facts
    except MALFORMED:  # another program's chunk of the same name
        return None


def with_facts(
    found: InstanceRuns, numbers: Labels, facts: Mapping[int, InstanceFacts], category: Any
) -> InstanceRuns:
    """Return instances with what is told of them.

    numbers: (N,), the id of each. category: returns the number of a class by its name.
    """
    own = [facts.get(int(number), InstanceFacts()) for number in numbers]
    scores = np.array([one.score for one in own], np.float32)
    crowd = np.array([one.crowd for one in own], np.bool_)
    labels = [one.label for one in own]
    ids, names = None, {}
    if any(label is not None for label in labels):
        known = [UNLABELLED if label is None else label for label in labels]
        ids = np.array([category(label) for label in known], np.int64)
        names = dict(zip(ids.tolist(), known, strict=True))
    return replace(
        found,
        scores=scores,
        category_ids=ids,
        names=names,
        crowd=crowd if crowd.any() else None,
    )


def _told(one: InstanceFacts) -> dict[str, Any]:
    told: dict[str, Any] = {} if one.label is None else {"class": one.label}
    if one.score != 1:
        told["score"] = round(one.score, 6)
    return told | ({"crowd": True} if one.crowd else {})


def _read(told: Mapping[str, Any]) -> InstanceFacts:
    label = told.get("class")
    score = float(told.get("score", 1))
    if not np.isfinite(score):
        raise ValueError
    return InstanceFacts(None if label is None else str(label), score, bool(told.get("crowd")))
