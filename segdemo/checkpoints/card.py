"""The model card `segdemo.json`: what a folder of weights says about itself."""

from __future__ import annotations

import json
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from segdemo.checkpoints.files import CheckpointError, read_json
from segdemo.checkpoints.registry import OFFICIAL_LICENCE, SD_TURBO
from segdemo.checkpoints.schema import STRICT, validated

CARD = "segdemo.json"
MAX_NATIVE_SIZE = 4096
MAX_TIMESTEP = 999

CARD_SETTINGS = {
    "segment": ("augment", "mirror", "second_look", "follow", "second_opinion", "share"),
    "trace": ("size", "fixed_timestep"),
}
"""Which settings a card may bring, by its entry."""
Line = Annotated[str, Field(max_length=500)]


@dataclass(frozen=True, config=STRICT)
class ModelCard:
    """What `segdemo.json` says.

    quality: measured figures and their command; "iou" holds one by data set. noise: standard
    deviation of the noise that DiffDIS' one step starts from; 1 in the paper, 0 starts from its
    mean. first_answer: the network whose saliency map the step starts from in place of noise, and
    whose features the U-Net sees; empty: none. first_answer_share: of that map in the mask.
    segment: which switches of `DiffDISSettings` suit the model. trace: values of `TraceSettings`
    that suit it better than the paper's, by name. edge_training: what its edge
    generator, if it has one, was trained on, in a few words for the page and the command line;
    empty: not stated. lora_of: registered name or Hub id of the DiffDIS model to which the folder's
    LoRA is added; empty: the folder holds a whole model.
    """

    name: Line
    licence: Line
    native_size: Annotated[int, Field(ge=8, le=MAX_NATIVE_SIZE)] = 1024
    base: Line | None = SD_TURBO
    quality: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    noise: Annotated[float, Field(ge=0, le=10)] = 1.0
    first_answer: Literal["", "u2netp"] = ""
    first_answer_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    segment: dict[str, bool] = field(default_factory=dict)
    trace: dict[str, int] = field(default_factory=dict)
    edge_training: Line = ""
    lora_of: Line = ""

    @field_validator("quality")
    @classmethod
    def _check_quality(cls, quality: dict[str, Any]) -> dict[str, Any]:
        figures = quality.get("iou", {})
        if not isinstance(figures, dict) or not all(
            isinstance(value, float | int) for value in figures.values()
        ):
            raise ValueError("its 'iou' should hold a number by data set")
        return quality

    @field_validator("trace")
    @classmethod
    def _check_trace(cls, trace: dict[str, int]) -> dict[str, int]:
        if not 0 <= trace.get("size", 0) <= MAX_NATIVE_SIZE:
            raise ValueError(f"'size' should be 0 to {MAX_NATIVE_SIZE}")
        if not 0 <= trace.get("fixed_timestep", 0) <= MAX_TIMESTEP:
            raise ValueError(f"'fixed_timestep' should be 0 to {MAX_TIMESTEP}")
        return trace


def read_card(folder: Path, name: str) -> ModelCard:
    """Read a folder's `segdemo.json`; a folder without one is taken for official weights.

    Raises CheckpointError, which names the entry that is wrong.
    """
    file = folder / CARD
    if not file.exists():
        return ModelCard(name=name[-500:], licence=OFFICIAL_LICENCE)
    content = read_json(file)
    for key, allowed in CARD_SETTINGS.items():
        if isinstance(content.get(key), dict) and set(content[key]) - set(allowed):
            raise CheckpointError(f"{file}: {key!r} may hold {', '.join(allowed)} only.")
    known = {entry.name for entry in fields(ModelCard)}
    card = {key: value for key, value in content.items() if key in known}
    return validated(ModelCard, card, file)


def write_card(card: ModelCard, folder: Path) -> None:
    """Write `segdemo.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).write_text(json.dumps(asdict(card), indent=1) + "\n")
