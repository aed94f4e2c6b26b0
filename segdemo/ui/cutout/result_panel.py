"""The right side of the tab: a result to look at, the line below it, downloads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from segdemo.ui.cutout.results import CutoutView, KeptResult

READY = "Choose a photo and press Segment."
NOTHING_FOUND = "Nothing stood out in this picture"
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
    take_mask: gr.DownloadButton
    take_edge: gr.DownloadButton
    take_cutout: gr.DownloadButton
    take_all: gr.DownloadButton

    @property
    def all(self) -> list[Any]:
        """Return them in the order of `show` and `clear`."""
        return [getattr(self, entry.name) for entry in fields(self)]


def show(view: CutoutView, kept: KeptResult) -> list[Any]:
    """Return values for `ResultPanel.all`."""
    summary = kept.summary if kept.found_something else f"**{NOTHING_FOUND}** · {kept.summary}"
    unsure = view.uncertainty is not None
    return [
        (str(view.before), str(view.after)),
        str(view.mask),
        str(view.edge),
        str(view.cutout),
        gr.update(value=view.uncertainty and str(view.uncertainty), visible=unsure),
        UNCERTAINTY if unsure else NO_UNCERTAINTY,
        summary,
        *(
            gr.update(value=str(file), interactive=True)
            for file in (view.mask, view.edge, view.cutout, view.archive)
        ),
    ]


def clear() -> list[Any]:
    """Return values for `ResultPanel.all` that show nothing."""
    nothing = gr.update(value=None, interactive=False)
    hidden = gr.update(value=None, visible=False)
    return [None, None, None, None, hidden, NO_UNCERTAINTY, READY, *[nothing] * 4]


def unchanged(status: str | None = None) -> list[Any]:
    """Return updates for `ResultPanel.all` that change nothing but the status line."""
    said = gr.skip() if status is None else status
    return [gr.skip()] * 6 + [said] + [gr.skip()] * 4


def build_result_panel() -> ResultPanel:
    """Lay out the right side, empty."""
    picture: dict[str, Any] = {
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
            mask = gr.Image(label="Mask", elem_id="mask", **picture)
        with gr.Tab("Edge"):
            edge = gr.Image(label="Edge", elem_id="edge", **picture)
        with gr.Tab("Cut-out"):
            cutout = gr.Image(label="Cut-out", elem_id="cutout", image_mode="RGBA", **picture)
        with gr.Tab("Uncertainty"):
            note = gr.Markdown(NO_UNCERTAINTY)
            unsure = gr.Image(label="Uncertainty", elem_id="uncertainty", visible=False, **picture)
    status = gr.Markdown(READY, elem_id="run-status")
    with gr.Row(elem_id="downloads"):
        downloads = [
            gr.DownloadButton(label, size="md", interactive=False, min_width=140, elem_id=name)
            for label, name in (
                ("Download mask", "take-mask"),
                ("Download edge", "take-edge"),
                ("Download cut-out", "take-cutout"),
                ("Download all", "take-all"),
            )
        ]
    return ResultPanel(compare, mask, edge, cutout, unsure, note, status, *downloads)
