"""The tab "Inspect": where in the noise a diffusion model separates things, and the edges there."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.ui.events import (
    IN_ORDER,
    LIGHT,
    QUIET,
    SAVE_FILE,
    TRACE_QUEUE,
    StopSignal,
    arm_stop,
    finally_,
    press_stop,
)
from segdemo.ui.examples import INSTANCE_CHECK, PHOTOS
from segdemo.ui.inspect.api import build_trace_endpoints
from segdemo.ui.inspect.handlers import (
    begin_drawing,
    change_rule,
    cut_by_hand,
    export,
    look_at_step,
    pin,
    reset_trace_buttons,
    run_trace,
    take_drawing,
    unpin,
)
from segdemo.ui.inspect.instance_painter import instance_painter
from segdemo.ui.inspect.options import TraceOptions, build_trace_options
from segdemo.ui.inspect.threshold_chart import threshold_chart
from segdemo.ui.inspect.trace_view import trace_view
from segdemo.ui.inspect.traces import Chosen, discard_trace
from segdemo.ui.kept_files import RESULT_SECONDS
from segdemo.ui.photo_field import photo_field, receive, run_and_stop
from segdemo.ui.status_line import status_line

READY = "Choose a photo and press Run."
INTRODUCTION = (
    "A photo is covered with noise, less from step to step, and the attention of a text-to-image "
    "model is compared between neighbouring steps (**PeakKL**). From one step's attention edges "
    "are read (**EdgeKL**)."
)
HONESTY = (
    "**What the peak proves, and what not.** The curve of the small embedded model has a peak, but "
    "that is no proof that instances separate at that step. The *instance check* shows whether "
    "they do. If they do not, choose a fixed step instead: click it."
)
CHECK = (
    "Give at least two instances, and each step's attention within an instance is compared with "
    "that to other instances *equally far away*. Above 1.0, the step tells them apart; being near "
    "does not count.\n\nA mask is a PNG in which each instance has a number or a flat colour of "
    "its own, with 0 or black around. A mask file is used before a drawing."
)


@dataclass(frozen=True)
class InspectInput:
    """The left side."""

    photo: gr.Image
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    options: TraceOptions
    mask: gr.Image
    painter: gr.HTML


@dataclass(frozen=True)
class InspectResult:
    """The right side."""

    view: gr.HTML
    layers: gr.Textbox
    rule: gr.Dropdown
    rule_note: gr.Markdown
    edge: gr.HTML
    pin: gr.Button
    unpin: gr.Button
    downloads: list[gr.Button]
    send: gr.Button
    taken: gr.File


@dataclass(frozen=True)
class InspectMemory:
    """What a session remembers."""

    kept: gr.State
    pinned: gr.State
    drawing: gr.State
    stop: gr.State
    chosen: gr.State


@dataclass(frozen=True)
class InspectTab:
    """What other parts of the page take from this one: the trace, and who sends its edge on."""

    kept: gr.State
    rule: gr.Dropdown
    chosen: gr.State
    send: gr.Button


def build_inspect_tab(assistant: AnnotationAssistant) -> InspectTab:
    """Lay out the tab and wire it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=320):
            left = _build_left()
        with gr.Column(scale=7, min_width=320):
            right = _build_right()
    memory = InspectMemory(
        gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard_trace),
        gr.State(None, time_to_live=RESULT_SECONDS),
        gr.State(None, time_to_live=RESULT_SECONDS),
        gr.State(StopSignal()),
        gr.State(Chosen()),
    )
    _wire_run(assistant, left, right, memory)
    _wire_photo(left, memory)
    _wire_looking(right, memory)
    build_trace_endpoints(assistant)
    return InspectTab(memory.kept, right.rule, memory.chosen, right.send)


def _build_left() -> InspectInput:
    """Lay out photo, buttons, examples, settings and the instance check."""
    gr.Markdown(INTRODUCTION)
    photo = photo_field("Photo to inspect", 280, "trace-photo")
    run, stop = run_and_stop("Run", "trace-run", "trace-stop")
    status = status_line(READY, "trace-status")
    gr.Examples(
        [str(example) for example in PHOTOS],
        photo,
        label="Photos",
        elem_id="trace-photo-examples",
        api_visibility="private",
    )
    options = build_trace_options()
    with gr.Accordion("Instance check", open=False, elem_id="instance-check"):
        gr.Markdown(CHECK)
        with gr.Tabs():
            with gr.Tab("Mask file"):
                mask = gr.Image(
                    type="filepath",
                    image_mode=None,
                    sources=["upload"],
                    label="Instance mask",
                    height=200,
                    buttons=[],
                    elem_id="instance-mask",
                )
            with gr.Tab("Draw"):
                painter = instance_painter("painter")
        gr.Examples(
            [[str(file) for file in INSTANCE_CHECK]],
            [photo, mask],
            label="A photo with its mask",
            api_visibility="private",
        )
    return InspectInput(photo, run, stop, status, options, mask, painter)


def _build_right() -> InspectResult:
    """Lay out the curve, the edge and the downloads, empty."""
    view = trace_view("trace-view")
    with gr.Row():
        pin_run = gr.Button("Pin this run", size="md", interactive=False, min_width=120)
        unpin_run = gr.Button("Unpin", size="md", interactive=False, min_width=90)
    gr.Markdown(HONESTY, elem_id="honesty")
    gr.Markdown("### Edges from the shown step (EdgeKL)")
    rule = gr.Dropdown(
        list(RULES), value="paper", label="Threshold rule", elem_id="rule", info=None
    )
    rule_note = gr.Markdown(RULES["paper"], elem_id="rule-note")
    edge = threshold_chart("edge-chart")
    with gr.Row(elem_id="trace-downloads"):
        downloads = [
            gr.Button(label, size="md", interactive=False, min_width=130, elem_id=name)
            for label, name in (
                ("Download NPZ", "take-arrays"),
                ("Download CSV", "take-table"),
                ("Download all and figures", "take-trace"),
            )
        ]
        send = gr.Button("Send edge to Refine", size="md", min_width=130, elem_id="send-edge")
    with gr.Accordion("Model and layers that were averaged", open=False):
        layers = gr.Textbox(
            "",
            lines=3,
            max_lines=12,
            interactive=False,
            label="Model and layers",
            show_label=False,
        )
    taken = gr.File(visible=False)
    return InspectResult(
        view, layers, rule, rule_note, edge, pin_run, unpin_run, downloads, send, taken
    )


def _wire_run(
    assistant: AnnotationAssistant, left: InspectInput, right: InspectResult, memory: InspectMemory
) -> None:
    """Connect Run (arm Stop, work, set back) and Stop."""
    buttons = [left.run, left.stop]
    results = [right.view, right.edge, left.status, right.layers, memory.kept]
    run = left.run.click(arm_stop, memory.stop, buttons, **QUIET).then(
        functools.partial(run_trace, assistant, tuple(left.options.named)),
        [
            left.photo,
            *left.options.all,
            left.mask,
            memory.drawing,
            right.rule,
            memory.stop,
            memory.chosen,
            memory.pinned,
            memory.kept,
        ],
        results,
        preprocess=False,
        show_progress="hidden",
        api_visibility="private",
        **TRACE_QUEUE,
    )
    finally_(
        run, reset_trace_buttons, memory.kept, [*buttons, right.pin, *right.downloads], **QUIET
    )
    left.stop.click(press_stop, memory.stop, left.status, **QUIET)


def _wire_photo(left: InspectInput, memory: InspectMemory) -> None:
    """Connect a new photo: it is checked as it arrives, and can be drawn on."""
    left.photo.change(
        begin_drawing, left.photo, [left.painter, memory.drawing], preprocess=False, **LIGHT
    )
    left.photo.upload(
        receive,
        left.photo,
        left.photo,
        preprocess=False,
        show_progress="hidden",
        api_visibility="private",
        concurrency_limit=None,  # but queued: what fails outside the queue shows no toast
    ).failure(lambda: None, None, left.photo, **QUIET)
    left.painter.drawn(take_drawing, None, memory.drawing, **IN_ORDER)


def _wire_looking(right: InspectResult, memory: InspectMemory) -> None:
    """Connect what a finished or running trace lets one do; no model runs."""
    looked = [memory.kept, right.rule, memory.chosen]
    right.view.pick(look_at_step, looked, right.edge, **IN_ORDER)
    right.edge.cut(cut_by_hand, memory.chosen, None, **IN_ORDER)
    right.rule.change(change_rule, looked, [right.edge, right.rule_note], **LIGHT)
    pinning = [right.view, memory.pinned, right.unpin]
    right.pin.click(pin, memory.kept, pinning, **LIGHT)
    right.unpin.click(unpin, memory.kept, pinning, **LIGHT)
    for button, which in zip(right.downloads, ("arrays", "table", "archive"), strict=True):
        button.click(
            functools.partial(export, which),
            looked,
            right.taken,
            concurrency_id="export",  # one at a time: they write into one folder
            concurrency_limit=1,
            show_progress="hidden",
            api_visibility="private",
        ).success(None, right.taken, None, js=SAVE_FILE, **QUIET)
