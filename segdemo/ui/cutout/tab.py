"""The tab "Cut out": one photo in; its mask, edge and cut-out to look at and to take away."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.ui.cutout.api import build_segment_api
from segdemo.ui.cutout.handlers import CutoutHandlers
from segdemo.ui.cutout.options import Options, build_options
from segdemo.ui.cutout.result_panel import ResultPanel, build_result_panel
from segdemo.ui.cutout.results import discard
from segdemo.ui.events import LIGHT, MODEL_RUNS, QUIET, StopSignal, wire_download, wire_run
from segdemo.ui.examples import PHOTOS
from segdemo.ui.kept_files import RESULT_SECONDS
from segdemo.ui.photo_field import photo_field, run_and_stop


@dataclass(frozen=True)
class CutoutTab:
    """What other parts of the page take from this one: fields, the result, and who sends it on."""

    options: Options
    kept: gr.State
    send: gr.Button


def build_cutout_tab(assistant: AnnotationAssistant) -> CutoutTab:
    """Lay out the tab and wire it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            photo = photo_field("Photo", 330, "photo")
            buttons = run_and_stop("Segment", "segment", "stop")
            gr.Examples(
                [str(example) for example in PHOTOS],
                photo,
                label="Example photos",
                api_visibility="private",
            )
            options = build_options(assistant)
        with gr.Column(scale=7, min_width=320):
            panel = build_result_panel()
            send = gr.Button("Send mask to Refine", size="md", elem_id="send-mask")
    kept = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard)
    stop = gr.State(StopSignal())  # copied for each session
    handlers = CutoutHandlers(assistant, photo, options, panel, kept, stop)
    wire_run(
        buttons,
        stop,
        panel.status,
        handlers.run,
        handlers.run_inputs,
        [*panel.images, panel.uncertainty_note, panel.status, kept],
        needs_result=(kept, panel.buttons),
        postprocess=False,
        show_progress_on=panel.compare,
        **MODEL_RUNS,
    )
    photo.change(handlers.forget, {kept, stop}, [*panel.all, kept], **QUIET)
    _wire_result(handlers, options, panel)
    build_segment_api(assistant)
    return CutoutTab(options, kept, send)


def _wire_result(handlers: CutoutHandlers, options: Options, panel: ResultPanel) -> None:
    """Connect what needs no model: the threshold and the downloads."""
    options.soft.change(
        lambda soft: gr.update(interactive=not soft), options.soft, options.threshold, **QUIET
    )
    gr.on(
        [options.soft.change, options.threshold.change],
        handlers.redraw,
        handlers.result_inputs,
        [panel.compare, panel.mask, panel.cutout, panel.status],
        postprocess=False,
        **LIGHT,
    )
    for kind, button in panel.downloads.items():
        wire_download(button, functools.partial(handlers.download, kind), handlers.result_inputs)
    wire_download(panel.download_all, handlers.download_all, handlers.result_inputs)
