"""The advanced panel: how an image is segmented. The tab and the batch panel share its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.ui.forms import Form, build_field, read_number

WORKING_SIZES = (256, 320, 384, 448, 512, 640, 768, 896, 1024)


@dataclass(frozen=True)
class Options:
    """The advanced panel's fields."""

    settings: Form[DiffDISSettings]
    soft: gr.Checkbox
    threshold: gr.Slider

    @property
    def all(self) -> set[Any]:
        """Return the components."""
        return {*self.settings.components.values(), self.soft, self.threshold}

    def read_threshold(self, values: Mapping[Any, object]) -> float | None:
        """Return None for a soft mask, else the threshold in [0, 1]; raises InputError."""
        return read_threshold(values[self.soft], values[self.threshold])


def read_threshold(soft: object, threshold: object) -> float | None:
    """Return None for a soft mask, else the threshold in [0, 1]; raises InputError."""
    return None if soft else read_number("Threshold", threshold, 0, 1)


def build_options(assistant: AnnotationAssistant) -> Options:
    """Lay out the advanced panel; each field explains itself in the settings' own words."""
    defaults = assistant.segment_defaults
    sizes = [(f"{side} px", side) for side in WORKING_SIZES]
    sizes.insert(0, (f"Model's own ({assistant.native_size} px)", 0))
    with gr.Accordion("Advanced", open=False):
        with gr.Row():
            size = build_field(defaults, "size", label="Working size", choices=sizes)
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
    return Options(Form(defaults, named), soft, threshold)
