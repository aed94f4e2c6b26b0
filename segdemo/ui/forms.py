"""Settings as forms: fields made from what a settings class says of itself, and read back.

A settings class is a frozen dataclass whose fields say `help`, and may say `choices`, `minimum`,
`maximum` and `label` (see `segdemo.settings`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

import gradio as gr

from segdemo.datatypes import InputError

Settings = TypeVar("Settings")

LARGEST_WHOLE = 2**63


@dataclass(frozen=True)
class Form(Generic[Settings]):
    """Components by the names of the settings they stand for.

    readers: for settings that are no number, text, choice or switch.
    """

    defaults: Settings
    components: dict[str, Any]
    readers: Mapping[str, Callable[[object], object]] = field(default_factory=dict)

    def read(self, values: Mapping[Any, object], defaults: Settings | None = None) -> Settings:
        """Return the settings that components' values stand for; raises InputError.

        values: by component. defaults: what settings without a field have, if not the form's own.
        """
        given = {name: values[component] for name, component in self.components.items()}
        own = self.defaults if defaults is None else defaults
        return read_settings(given, own, self.readers)


def label_of(entry: Field[Any]) -> str:
    """Return what a field is called on the page and in messages."""
    return str(entry.metadata.get("label", entry.name.replace("_", " ").capitalize()))


def build_field(settings: Any, name: str, component: Any = gr.Number, **changes: Any) -> Any:
    """Make the component for one of the settings.

    component: for numbers, a Number or a Slider. changes: of what the component is made with.
    """
    (entry,) = (one for one in fields(settings) if one.name == name)
    value, said = getattr(settings, name), entry.metadata
    common = {"label": label_of(entry), "info": said["help"], "value": value} | changes
    if "choices" in common or "choices" in said:
        return gr.Dropdown(**({"choices": list(said.get("choices", ()))} | common))
    if isinstance(value, bool):
        return gr.Checkbox(**common)
    if isinstance(value, int | float):
        limits = {"minimum": said.get("minimum"), "maximum": said.get("maximum")}
        if isinstance(value, int):
            limits |= {"precision": 0, "step": 1, "minimum": limits["minimum"] or 0}
        return component(**(limits | common))
    return gr.Textbox(**common)


def read_settings(
    given: Mapping[str, object],
    defaults: Settings,
    readers: Mapping[str, Callable[[object], object]] | None = None,
) -> Settings:
    """Return settings with some values given by a page or a program; raises InputError.

    given: values by the settings' names. readers: by name, for what is no number, text or switch.
    """
    own = readers or {}
    known: dict[str, Field[Any]] = {entry.name: entry for entry in fields(defaults)}  # type: ignore[arg-type]
    read = {
        name: own[name](value) if name in own else _read(known[name], value)
        for name, value in given.items()
    }
    return replace(defaults, **read)  # type: ignore[type-var]


def _read(entry: Field[Any], value: object) -> object:
    if isinstance(entry.default, bool):
        return bool(value)
    if isinstance(entry.default, int):
        return read_whole(label_of(entry), value)
    if isinstance(entry.default, float):
        return read_number(label_of(entry), value)
    return str(value or "")


def read_whole(label: str, value: object) -> int:
    """Return a whole number from 0 up, also of "3" or 3.0; raises InputError."""
    try:
        number = int(str(value).removesuffix(".0"))
    except ValueError:
        number = -1
    if not 0 <= number < LARGEST_WHOLE:
        raise InputError(f"{label} must be a whole number from 0 up.")
    return number


def read_number(label: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a number from `low` to `high`; raises InputError."""
    within = isinstance(value, int | float) and math.isfinite(value) and low <= value <= high
    if not within:
        ends = "" if math.isinf(high) else f" from {low:g} to {high:g}"
        raise InputError(f"{label} must be a number{ends}.")
    return float(value)  # type: ignore[arg-type]
