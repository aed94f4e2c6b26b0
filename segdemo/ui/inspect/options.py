"""The settings of a trace as fields of a page, in the settings' own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from segdemo.datatypes import InputError
from segdemo.diffegg.settings import PAPER_TIMESTEPS, TraceSettings

# In the settings' order. A fixed step is no field here: on the page it is a click on the curve
LABELS = {
    "timesteps": "Timesteps",
    "size": "Working size",
    "seed": "Seed",
    "noise": "Noise",
    "noise_draws": "Draws of noise",
    "layers": "Layer filter",
    "layer_weights": "Layer weights",
    "key_norm": "Normalisation",
    "text_keys": "Text keys",
    "gap_metric": "Gap metric",
    "keep": "Kept step of a pair",
    "edge_metric": "Edge metric",
    "border": "Border",
}
FIELDS = [entry for entry in fields(TraceSettings) if entry.name in LABELS]
SIZES = (128, 192, 256, 320, 384, 512, 768, 1024)
MOST_STEPS = 100


@dataclass(frozen=True)
class TraceOptions:
    """The fields, by the settings' names, in their order."""

    named: dict[str, Any]

    @property
    def all(self) -> list[Any]:
        """Return them in the order in which handlers take them."""
        return list(self.named.values())


def build_trace_options() -> TraceOptions:
    """Lay out the settings accordion."""
    with gr.Accordion("Trace settings", open=False, elem_id="trace-settings"):
        timesteps = gr.Textbox(
            " ".join(map(str, PAPER_TIMESTEPS)),
            label=LABELS["timesteps"],
            info="Noise levels to look at, falling, within 0 to 999: a list, or "
            "start:stop:count such as 999:99:10.",
            lines=2,
            elem_id="timesteps",
        )
        with gr.Row():
            grid = [
                gr.Number(value, precision=0, label=label, min_width=80)
                for label, value in (
                    ("Start", PAPER_TIMESTEPS[0]),
                    ("Stop", PAPER_TIMESTEPS[-1]),
                    ("Count", len(PAPER_TIMESTEPS)),
                )
            ]
        named: dict[str, Any] = {"timesteps": timesteps}
        for entry in FIELDS[1:]:
            named[entry.name] = _field(entry)
    gr.on(
        [number.input for number in grid],
        spaced_text,
        grid,
        timesteps,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return TraceOptions(named)


def _field(entry: Any) -> Any:
    """Return the component for one of the settings."""
    common = {"label": LABELS[entry.name], "info": entry.metadata["help"]}
    if entry.name == "size":
        # without its number: the model may be on the Hub, and is looked for when first needed
        sizes = [("Model's own", 0), *((f"{side} px", side) for side in SIZES)]
        return gr.Dropdown(sizes, value=0, **common)
    if "choices" in entry.metadata:
        return gr.Dropdown(list(entry.metadata["choices"]), value=entry.default, **common)
    if isinstance(entry.default, int):
        return gr.Number(entry.default, precision=0, minimum=0, **common)
    return gr.Textbox(entry.default, **common)


def spaced_text(start: object, stop: object, count: object) -> Any:
    """Write start, stop and count as a list; what is still incomplete changes nothing."""
    if any(not isinstance(value, int | float) for value in (start, stop, count)):
        return gr.skip()
    try:
        steps = read_timesteps(f"{start}:{stop}:{count}")
    except InputError:
        return gr.skip()
    return " ".join(map(str, steps))


def read_timesteps(text: str) -> tuple[int, ...]:
    """Read "999 899 799", commas allowed, or "start:stop:count"; raises InputError.

    Both ends of a range are included and the steps between are rounded.
    """
    pattern = re.fullmatch(r"\s*(\d{1,4})\s*:\s*(\d{1,4})\s*:\s*(\d{1,4})\s*", text)
    if pattern:
        start, stop, count = map(int, pattern.groups())
        if not 2 <= count <= MOST_STEPS:
            raise InputError(f"{count} timesteps: choose a count from 2 to {MOST_STEPS}.")
        return tuple(round(start + (stop - start) * i / (count - 1)) for i in range(count))
    words = re.split(r"[\s,;]+", text.strip())
    try:
        steps = tuple(int(word) for word in words)
    except ValueError as error:
        raise InputError(
            f"Timesteps {text.strip()[:60]!r}: give whole numbers such as 999 899 799, or "
            "start:stop:count such as 999:99:10."
        ) from error
    if len(steps) > MOST_STEPS:
        raise InputError(f"{len(steps)} timesteps are too many: give at most {MOST_STEPS}.")
    return steps


def read_trace_settings(values: Mapping[str, object], defaults: TraceSettings) -> TraceSettings:
    """Check what a page's fields or a caller gave, by the settings' names; raises InputError.

    defaults: the model's own; what was not given comes from them.
    """
    read: dict[str, Any] = {}
    for entry in FIELDS:
        if entry.name not in values:
            continue
        value = values[entry.name]
        if entry.name == "timesteps":
            read[entry.name] = read_timesteps(str(value or ""))
        elif isinstance(entry.default, int):
            read[entry.name] = _whole(LABELS[entry.name], value)
        else:
            read[entry.name] = str(value or "")
    if not 0 <= read.get("seed", 0) < 2**63:
        raise InputError("Seed must be a whole number from 0 up.")
    return replace(defaults, **read)


def _whole(label: str, value: object) -> int:
    try:
        return int(str(value).removesuffix(".0"))
    except ValueError as error:
        raise InputError(f"{label} must be a whole number.") from error


def settings_words(settings: TraceSettings) -> str:
    """Say in a few words what differs from the defaults."""
    said = []
    for entry in FIELDS[1:]:
        value = getattr(settings, entry.name)
        if value != entry.default:
            said.append(f"{LABELS[entry.name].lower()} {value}")
    steps = settings.timesteps
    if steps != PAPER_TIMESTEPS:
        said.insert(0, f"{len(steps)} steps {steps[0]} to {steps[-1]}")
    return ", ".join(said) or "default settings"
