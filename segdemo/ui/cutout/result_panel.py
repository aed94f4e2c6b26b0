"""The right side of the tab: a result to look at, the line below it, downloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from segdemo.datatypes import SegmentationResult
from segdemo.images import to_grey
from segdemo.ui.cutout.results import (
    KeptResult,
    Kind,
    cutout_preview,
    mask_preview,
    preview,
    reduced,
)
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
    """The right side: tabs, the line below them, downloads."""

    compare: gr.ImageSlider
    mask: gr.Image
    edge: gr.Image
    cutout: gr.Image
    uncertainty: gr.Image
    uncertainty_note: gr.Markdown
    status: gr.Markdown
    downloads: dict[Kind, gr.DownloadButton]
    download_all: gr.DownloadButton

    @property
    def images(self) -> list[Any]:
        """Return the components that show the result."""
        return [self.compare, self.mask, self.edge, self.cutout, self.uncertainty]

    @property
    def buttons(self) -> list[gr.DownloadButton]:
        """Return the download buttons."""
        return [*self.downloads.values(), self.download_all]

    @property
    def all(self) -> list[Any]:
        """Return every component."""
        return [*self.images, self.uncertainty_note, self.status, *self.buttons]

    def show(
        self, kept: KeptResult, result: SegmentationResult, threshold: float | None
    ) -> Updates:
        """Show a result, its mask soft or cut at a threshold; for `postprocess=False`."""
        summary = kept.summary if kept.found_something else f"**{NOTHING_FOUND}** · {kept.summary}"
        doubt = result.uncertainty
        shown = None if doubt is None else preview(to_grey(reduced(doubt)), "uncertainty.jpg")
        return self.show_mask(kept, threshold) | {
            self.edge: preview(to_grey(reduced(result.known_edge)), "edge.jpg"),
            self.uncertainty: gr.update(value=shown, visible=doubt is not None),
            self.uncertainty_note: NO_UNCERTAINTY if doubt is None else UNCERTAINTY,
            self.status: summary,
        }

    def show_mask(self, kept: KeptResult, threshold: float | None) -> Updates:
        """Show what a threshold changes; for events with `postprocess=False`."""
        cutout = preview(cutout_preview(kept, threshold), "cutout.jpg")
        return {
            self.compare: [preview(kept.image, "photo.jpg"), cutout],
            self.mask: preview(to_grey(mask_preview(kept, threshold)), "mask.jpg"),
            self.cutout: cutout,
        }

    def clear(self) -> Updates:
        """Show nothing."""
        return {
            **dict.fromkeys([self.mask, self.edge, self.cutout]),
            self.compare: None,
            self.uncertainty: gr.update(value=None, visible=False),
            self.uncertainty_note: NO_UNCERTAINTY,
            self.status: READY,
            **dict.fromkeys(self.buttons, gr.update(interactive=False)),
        }


def build_result_panel() -> ResultPanel:
    """Lay out the right side, empty."""
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
        with gr.Tab("Uncertainty"):
            note = gr.Markdown(NO_UNCERTAINTY)
            unsure = gr.Image(label="Uncertainty", elem_id="uncertainty", visible=False, **shown)
    status = gr.Markdown(READY, elem_id="run-status")
    with gr.Row(elem_id="downloads"):
        labels: dict[Kind, str] = {"mask": "mask", "edge": "edge", "cutout": "cut-out"}
        downloads = {
            kind: _download(f"Download {label}", f"take-{kind}") for kind, label in labels.items()
        }
        everything = _download("Download all", "take-all")
    return ResultPanel(compare, mask, edge, cutout, unsure, note, status, downloads, everything)


def _download(label: str, elem_id: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, size="md", interactive=False, min_width=140, elem_id=elem_id)
