"""The model card `segdemo.json`: what a folder of weights says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segdemo.checkpoints.files import CheckpointError
from segdemo.checkpoints.registry import OFFICIAL_LICENCE, SD_TURBO

CARD = "segdemo.json"
SEGMENT_KEYS = frozenset(("augment", "follow", "second_opinion"))


@dataclass(frozen=True)
class ModelCard:
    """What `segdemo.json` says.

    quality: measured figures and their command. noise: standard deviation of the noise that
    DiffDIS' one step starts from; 1 in the paper, 0 starts from its mean. segment: which of
    `SEGMENT_KEYS`, switches of `DiffDISSettings`, suit the model. trace: values of `TraceSettings`
    that suit it better than the paper's, by name. edge_training: what its edge generator, if it has
    one, was trained on, in a few words for the page and the command line; empty: not stated.
    """

    name: str
    licence: str
    native_size: int = 1024
    base: str | None = SD_TURBO
    quality: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    noise: float = 1.0
    segment: dict[str, bool] = field(default_factory=dict)
    trace: dict[str, Any] = field(default_factory=dict)
    edge_training: str = ""


def read_card(folder: Path, name: str) -> ModelCard:
    """Read a folder's `segdemo.json`; a folder without one is taken for official weights."""
    file = folder / CARD
    if not file.exists():
        return ModelCard(name=name, licence=OFFICIAL_LICENCE)
    try:
        entries = json.loads(file.read_text())
        known = {key: entries[key] for key in ModelCard.__dataclass_fields__ if key in entries}
        card = ModelCard(**known)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{file} is not a valid model card: {error}.") from error
    suits = card.segment if isinstance(card.segment, dict) else {"": ""}
    if set(suits) - SEGMENT_KEYS or not all(isinstance(value, bool) for value in suits.values()):
        names = ", ".join(sorted(SEGMENT_KEYS))
        raise CheckpointError(f"{file}: 'segment' may hold {names} only, each true or false.")
    return card


def write_card(card: ModelCard, folder: Path) -> None:
    """Write `segdemo.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).write_text(json.dumps(vars(card), indent=1) + "\n")
