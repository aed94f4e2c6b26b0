"""The settings of a trace as fields of a page, in the settings' own words."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import gradio as gr

from segdemo.datatypes import InputError
from segdemo.diffegg.settings import PAPER_TIMESTEPS, TraceSettings
from segdemo.ui.events import QUIET
from segdemo.ui.forms import Form, build_field, label_of

# A fixed step is no field here: on the page it is a click on the curve
FIELDS = [entry for entry in fields(TraceSettings) if entry.name != "fixed_timestep"]
SIZES = (128, 192, 256, 320, 384, 512, 768, 1024)
MOST_STEPS = 100


def build_trace_options() -> Form[TraceSettings]:
    """Lay out the settings accordion."""
    defaults = TraceSettings()
    with gr.Accordion("Trace settings", open=False, elem_id="trace-settings"):
        timesteps = gr.Textbox(
            " ".join(map(str, PAPER_TIMESTEPS)),
            label="Timesteps",
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
        # without its number: the model may be on the Hub, and is looked for when first needed
        sizes = [("Model's own", 0), *((f"{side} px", side) for side in SIZES)]
        named: dict[str, Any] = {"timesteps": timesteps}
        for first in range(1, len(FIELDS), 2):
            with gr.Row():
                for entry in FIELDS[first : first + 2]:
                    changes = {"choices": sizes} if entry.name == "size" else {}
                    named[entry.name] = build_field(defaults, entry.name, **changes)
    gr.on([number.input for number in grid], spaced_text, grid, timesteps, **QUIET)
    return Form(defaults, named, {"timesteps": read_timesteps})


def spaced_text(start: object, stop: object, count: object) -> Any:
    """Write start, stop and count as a list; what is still incomplete changes nothing."""
    if any(not isinstance(value, int | float) for value in (start, stop, count)):
        return gr.skip()
    try:
        steps = read_timesteps(f"{start}:{stop}:{count}")
    except InputError:
        return gr.skip()
    return " ".join(map(str, steps))


def read_timesteps(given: object) -> tuple[int, ...]:
    """Read "999 899 799", commas allowed, or "start:stop:count"; raises InputError.

    Both ends of a range are included and the steps between are rounded.
    """
    text = str(given or "")
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


def settings_words(settings: TraceSettings) -> str:
    """Say in a few words what differs from the defaults."""
    said = []
    for entry in FIELDS[1:]:
        value = getattr(settings, entry.name)
        if value != entry.default:
            said.append(f"{label_of(entry).lower()} {value}")
    steps = settings.timesteps
    if steps != PAPER_TIMESTEPS:
        said.insert(0, f"{len(steps)} steps {steps[0]} to {steps[-1]}")
    return ", ".join(said) or "default settings"
