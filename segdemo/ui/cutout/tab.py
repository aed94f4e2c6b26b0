"""The tab "Cut out": one photo in; its mask, edge and cut-out to look at and to take away."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.ui.cutout.api import build_endpoint, segment_for_programs
from segdemo.ui.cutout.handlers import forget, redraw, segment_photo
from segdemo.ui.cutout.options import Options, build_options
from segdemo.ui.cutout.result_panel import ResultPanel, build_result_panel
from segdemo.ui.cutout.results import discard
from segdemo.ui.events import (
    MODEL_QUEUE,
    QUIET,
    StopSignal,
    arm_stop,
    finally_,
    press_stop,
    reset_buttons,
)
from segdemo.ui.examples import PHOTOS
from segdemo.ui.kept_files import RESULT_SECONDS
from segdemo.ui.photo_field import photo_field, receive, run_and_stop


@dataclass(frozen=True)
class CutoutTab:
    """What other parts of the page take from this one: fields, the result, and who sends it on."""

    options: Options
    kept: gr.State
    send: gr.Button


@dataclass(frozen=True)
class PhotoPanel:
    """The left side: the photo and what starts and stops."""

    photo: gr.Image
    segment: gr.Button
    stop: gr.Button


def build_cutout_tab(assistant: AnnotationAssistant) -> CutoutTab:
    """Lay out the tab and wire it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            left = build_photo_panel()
            options = build_options(assistant)
        with gr.Column(scale=7, min_width=320):
            right = build_result_panel()
            send = gr.Button("Send mask to Refine", size="md", elem_id="send-mask")
    kept = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard)
    _wire_run(assistant, left, options, right, kept)
    left.photo.change(forget, kept, [*right.all, kept], preprocess=False, **QUIET)
    left.photo.upload(
        receive,
        left.photo,
        left.photo,
        preprocess=False,
        show_progress="hidden",
        api_visibility="private",
        concurrency_limit=None,  # but queued: what fails outside the queue shows no toast
    ).failure(lambda: None, None, left.photo, **QUIET)
    options.soft.change(
        lambda soft: gr.update(interactive=not soft), options.soft, options.threshold, **QUIET
    )
    gr.on(
        [options.soft.change, options.threshold.change],
        redraw,
        [kept, options.soft, options.threshold],
        right.all,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    build_endpoint(functools.partial(segment_for_programs, assistant), assistant.segment_defaults)
    return CutoutTab(options, kept, send)


def build_photo_panel() -> PhotoPanel:
    """Lay out the photo, its buttons and the examples."""
    photo = photo_field("Photo", 330, "photo")
    segment, stop = run_and_stop("Segment", "segment", "stop")
    examples = [str(example) for example in PHOTOS]
    gr.Examples(
        examples,
        photo,
        label="Example photos",
        api_visibility="private",
    )
    return PhotoPanel(photo, segment, stop)


def _wire_run(
    assistant: AnnotationAssistant,
    left: PhotoPanel,
    options: Options,
    right: ResultPanel,
    kept: gr.State,
) -> None:
    """Connect Segment (arm Stop, work, set back) and Stop."""
    stop = gr.State(StopSignal())  # copied for each session
    buttons = [left.segment, left.stop]
    run = left.segment.click(arm_stop, stop, buttons, **QUIET).then(
        functools.partial(segment_photo, assistant),
        [left.photo, *options.all, stop, kept],
        [*right.all, kept],
        preprocess=False,  # Gradio would open the upload itself, with errors of its own
        show_progress_on=right.compare,
        api_visibility="private",
        **MODEL_QUEUE,
    )
    finally_(run, reset_buttons, None, buttons, **QUIET)
    left.stop.click(press_stop, stop, right.status, **QUIET)
