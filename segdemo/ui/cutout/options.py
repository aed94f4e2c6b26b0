"""The advanced panel: how an image is segmented. The tab and the batch panel share its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.ui.errors import user_errors
from segdemo.ui.events import QUIET
from segdemo.ui.forms import Form, build_field, read_number

Choices = list[tuple[str, int]]
WORKING_SIZES = (256, 320, 384, 448, 512, 640, 768, 896, 1024)


@dataclass(frozen=True)
class Options:
    """The advanced panel's fields."""

    model: gr.Dropdown
    settings: Form[DiffDISSettings]
    soft: gr.Checkbox
    threshold: gr.Slider

    @property
    def all(self) -> set[Any]:
        """Return the components."""
        return {self.model, *self.settings.components.values(), self.soft, self.threshold}

    def read_threshold(self, values: Mapping[Any, object]) -> float | None:
        """Return None for a soft mask, else the threshold in [0, 1]; raises InputError."""
        return read_threshold(values[self.soft], values[self.threshold])


def read_threshold(soft: object, threshold: object) -> float | None:
    """Return None for a soft mask, else the threshold in [0, 1]; raises InputError."""
    return None if soft else read_number("Threshold", threshold, 0, 1)


def build_options(assistant: AnnotationAssistant) -> Options:
    """Lay out the models to choose from, where there are several, and the advanced panel.

    Each field explains itself in the settings' own words.
    """
    defaults, names = assistant.segment_defaults, assistant.models
    model = gr.Dropdown(
        list(names),
        value=names[0],
        label="Model",
        visible=len(names) > 1,
        info="Choosing one sets the fields under Advanced to what suits it.",
        elem_id="model",
    )

    def size_choices(name: str) -> Choices:
        own = (f"Model's own ({assistant.native_size_of(name)} px)", 0)
        return [own, *((f"{side} px", side) for side in WORKING_SIZES)]

    with gr.Accordion("Advanced", open=False):
        with gr.Row():
            size = build_field(defaults, "size", label="Working size", choices=size_choices(""))
            seed = build_field(defaults, "seed")
        ensemble = build_field(defaults, "ensemble", component=gr.Slider, minimum=1, maximum=8)
        with gr.Row():
            augment = build_field(defaults, "augment", label="Test-time augmentation")
            follow = build_field(defaults, "follow", label="Follow outlines")
            opinion = build_field(defaults, "second_opinion")
        with gr.Row():
            mirror = build_field(defaults, "mirror")
            second_look = build_field(defaults, "second_look")
        with gr.Row():
            noise = build_field(defaults, "noise")
            sampler = build_field(defaults, "sampler")
        soft = gr.Checkbox(
            True, label="Soft mask", info="Grey values at hair and blur; off cuts at the threshold."
        )
        threshold = gr.Slider(
            0,
            1,
            0.5,
            step=0.01,
            label="Threshold",
            info="What exceeds it is subject; acts at once, without another run.",
            interactive=False,
            elem_id="threshold",
        )
    named = {
        "size": size,
        "seed": seed,
        "ensemble": ensemble,
        "augment": augment,
        "follow": follow,
        "second_opinion": opinion,
        "noise": noise,
        "sampler": sampler,
        "mirror": mirror,
        "second_look": second_look,
    }

    def suit(name: str) -> dict[Any, Any]:
        with user_errors():
            suited = assistant.segment_defaults_of(name)
            updates = {field: gr.update(value=getattr(suited, key)) for key, field in named.items()}
            return updates | {size: gr.update(value=suited.size, choices=size_choices(name))}

    model.input(suit, model, list(named.values()), **QUIET)
    return Options(model, Form(defaults, named), soft, threshold)
