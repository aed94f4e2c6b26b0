"""The right side of the tab: a result to look at and downloads; and the line that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from segdemo.cutouts import Finish, subject_box
from segdemo.datatypes import SegmentationResult
from segdemo.images import to_grey
from segdemo.ui.cutout.results import (
    KeptResult,
    Kind,
    cutout_preview,
    preview,
    reduced,
)
from segdemo.ui.cutout.window_view import window_value, window_view
from segdemo.ui.events import Updates

READY = "Choose a photo and press Segment."
NOTHING_FOUND = "Nothing stood out in this photo"
NO_UNCERTAINTY = (
    "Uncertainty compares several predictions: set *Ensemble* under *Advanced* to 2 or more, "
    "then segment again."
)
UNCERTAINTY = "Brighter means that the predictions of the ensemble disagreed more."


@dataclass(frozen=True)
class ResultPanel:
    """Tabs, downloads, and the line near the button that starts.

    send: takes the mask to another tab; it is laid out by who renders it.
    """

    compare: gr.ImageSlider
    mask: gr.Image
    edge: gr.Image
    cutout: gr.Image
    uncertainty: gr.Image
    uncertainty_note: gr.Markdown
    window: gr.HTML
    look: gr.Button
    undo: gr.Button
    other: gr.Dropdown
    compare_models: gr.Button
    two_models: gr.ImageSlider
    status: gr.Markdown
    downloads: dict[Kind, gr.DownloadButton]
    download_all: gr.DownloadButton
    send: gr.Button

    @property
    def images(self) -> list[Any]:
        """Return the components that show the result."""
        return [*self.changing, self.edge, self.uncertainty, self.two_models]

    @property
    def changing(self) -> list[Any]:
        """Return the components that `show_mask` changes."""
        return [self.compare, self.mask, self.cutout, self.window]

    @property
    def buttons(self) -> list[gr.Button | gr.DownloadButton]:
        """Return the buttons that a result is needed for."""
        downloads = [*self.downloads.values(), self.download_all]
        return [*downloads, self.look, self.compare_models, self.send]

    @property
    def all(self) -> list[Any]:
        """Return every component."""
        return [*self.images, self.uncertainty_note, self.status, *self.buttons, self.undo]

    def show(self, kept: KeptResult, result: SegmentationResult, finish: Finish) -> Updates:
        """Show a result, finished as asked for; for `postprocess=False`."""
        summary = kept.summary if kept.found_something else f"**{NOTHING_FOUND}** · {kept.summary}"
        doubt = result.uncertainty
        shown = None if doubt is None else preview(to_grey(reduced(doubt)), "uncertainty.jpg")
        return self.show_mask(kept, finish) | {
            self.edge: preview(to_grey(reduced(result.known_edge)), "edge.jpg"),
            self.two_models: None,
            self.uncertainty: gr.update(value=shown, visible=doubt is not None),
            self.uncertainty_note: NO_UNCERTAINTY if doubt is None else UNCERTAINTY,
            self.status: summary,
        }

    def show_mask(self, kept: KeptResult, finish: Finish) -> Updates:
        """Show what finishing changes; for events with `postprocess=False`."""
        alpha, pixels = finish.levels.apply(kept.mask), cutout_preview(kept, finish)
        cutout = preview(pixels, "cutout.jpg")
        trimmed = preview(pixels[subject_box(alpha)], "cutout.jpg") if finish.trim else cutout
        return {
            self.compare: [preview(kept.image, "photo.jpg"), cutout],
            self.mask: preview(to_grey(alpha), "mask.jpg"),
            self.cutout: trimmed,
            self.window: window_value(kept.folder.name, cutout["url"]),
        }

    def clear(self) -> Updates:
        """Show nothing."""
        return {
            **dict.fromkeys([*self.changing, self.edge, self.two_models]),
            self.uncertainty: gr.update(value=None, visible=False),
            self.uncertainty_note: NO_UNCERTAINTY,
            self.status: READY,
            **dict.fromkeys([*self.buttons, self.undo], gr.update(interactive=False)),
        }


def build_status() -> gr.Markdown:
    """Lay out the line that says how far a run is, for a place near its button."""
    return gr.Markdown(READY, elem_id="run-status")


def build_result_panel(status: gr.Markdown, models: Sequence[str] = ()) -> ResultPanel:
    """Lay out the right side, empty. models: those that can be compared."""
    shown: dict[str, Any] = {
        "type": "filepath",
        "interactive": False,
        "buttons": ["fullscreen"],
        "height": 420,
        "show_label": False,
    }
    with gr.Tabs(elem_id="results"):
        with gr.Tab("Compare"):
            compare = gr.ImageSlider(
                type="filepath",
                interactive=False,
                buttons=["fullscreen"],
                label="Photo | cut-out",
                max_height=420,
                height=420,
                elem_id="compare",
            )
        with gr.Tab("Mask"):
            mask = gr.Image(label="Mask", elem_id="mask", **shown)
        with gr.Tab("Edge"):
            edge = gr.Image(label="Edge", elem_id="edge", **shown)
        with gr.Tab("Cut-out"):
            cutout = gr.Image(label="Cut-out", elem_id="cutout", **shown)
        with gr.Tab("Touch up"):
            window = window_view("window-view")
            with gr.Row():
                look = gr.Button(
                    "Look closer", variant="primary", size="md", interactive=False, elem_id="look"
                )
                undo = gr.Button("Undo", size="md", interactive=False, elem_id="undo-look")
        with gr.Tab("Two models", visible=len(models) > 1):
            with gr.Row():
                other = gr.Dropdown(
                    list(models), value=models[-1] if models else None, label="Compare with"
                )
                compare_models = gr.Button("Compare", interactive=False, elem_id="compare-models")
            two_models = gr.ImageSlider(
                type="filepath",
                interactive=False,
                buttons=["fullscreen"],
                label="Masks of two models",
                max_height=420,
                height=420,
                elem_id="two-models",
            )
        with gr.Tab("Uncertainty"):
            note = gr.Markdown(NO_UNCERTAINTY)
            unsure = gr.Image(label="Uncertainty", elem_id="uncertainty", visible=False, **shown)
    with gr.Row(elem_id="downloads"):
        labels: dict[Kind, str] = {"mask": "mask", "edge": "edge", "cutout": "cut-out"}
        downloads = {
            kind: _download(f"Download {label}", f"take-{kind}") for kind, label in labels.items()
        }
        everything = _download("Download all", "take-all")
    send = gr.Button(
        "Send mask to Refine", size="md", interactive=False, elem_id="send-mask", render=False
    )
    return ResultPanel(
        *(compare, mask, edge, cutout, unsure, note),
        *(window, look, undo, other, compare_models, two_models),
        *(status, downloads, everything, send),
    )


def _download(label: str, elem_id: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, size="md", interactive=False, min_width=140, elem_id=elem_id)
