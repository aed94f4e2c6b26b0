"""The advanced panel: how a photo is segmented. The tab and the batch panel share its fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffdis.settings import DiffDISSettings

WORKING_SIZES = (256, 320, 384, 448, 512, 640, 768, 896, 1024)


@dataclass(frozen=True)
class Options:
    """The advanced panel's fields."""

    size: gr.Dropdown
    seed: gr.Number
    augment: gr.Checkbox
    ensemble: gr.Slider
    soft: gr.Checkbox
    threshold: gr.Slider
    follow: gr.Checkbox

    @property
    def all(self) -> list[Any]:
        """Return them in the order in which handlers take them."""
        return [getattr(self, entry.name) for entry in fields(self)]


def build_options(assistant: AnnotationAssistant) -> Options:
    """Lay out the advanced panel; each field explains itself in the settings' own words."""
    explained = {entry.name: entry.metadata["help"] for entry in fields(DiffDISSettings)}
    sizes = [(f"{side} px", side) for side in WORKING_SIZES]
    with gr.Accordion("Advanced", open=False):
        with gr.Row():
            size = gr.Dropdown(
                [(f"Model's own ({assistant.native_size} px)", 0), *sizes],
                value=0,
                label="Working size",
                info=explained["size"],
            )
            seed = gr.Number(0, precision=0, minimum=0, label="Seed", info=explained["seed"])
        ensemble = gr.Slider(1, 8, 1, step=1, label="Ensemble", info=explained["ensemble"])
        suits = assistant.segment_defaults
        with gr.Row():
            augment = gr.Checkbox(
                suits.augment, label="Test-time augmentation", info=explained["augment"]
            )
            follow = gr.Checkbox(suits.follow, label="Follow outlines", info=explained["follow"])
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
    return Options(size, seed, augment, ensemble, soft, threshold, follow)
