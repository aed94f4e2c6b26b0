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
    MODEL_RUNS,
    QUIET,
    StopSignal,
    scroll_to,
    wire_download,
    wire_run,
)
from segdemo.ui.examples import INSTANCE_CHECK, PHOTOS
from segdemo.ui.inspect.api import build_trace_api
from segdemo.ui.inspect.handlers import (
    ExportKind,
    InspectHandlers,
    InspectInput,
    InspectResult,
    InspectState,
)
from segdemo.ui.inspect.instance_painter import instance_painter
from segdemo.ui.inspect.options import build_trace_options
from segdemo.ui.inspect.threshold_chart import threshold_chart
from segdemo.ui.inspect.trace_view import trace_view
from segdemo.ui.inspect.traces import Chosen, discard_trace
from segdemo.ui.inspect.values import discard_pinned
from segdemo.ui.kept_files import RESULT_SECONDS
from segdemo.ui.photo_field import photo_field, run_and_stop
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
class InspectTab:
    """What other parts of the page take from this one: the trace, and who sends its edge on."""

    kept: gr.State
    rule: gr.Dropdown
    chosen: gr.State
    send: gr.Button


def build_inspect_tab(assistant: AnnotationAssistant) -> InspectTab:
    """Lay out the tab and wire it."""
    gr.Markdown(INTRODUCTION)
    with gr.Row(equal_height=False):
        left = _build_left()
    with gr.Row(equal_height=False):
        right = _build_right()
    state = InspectState(
        gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard_trace),
        gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard_pinned),
        gr.State(None, time_to_live=RESULT_SECONDS),
        gr.State(StopSignal()),
        gr.State(Chosen()),
    )
    handlers = InspectHandlers(assistant, left, right, state)
    run = wire_run(
        left.buttons,
        state.stop,
        left.status,
        handlers.run,
        handlers.run_inputs,
        [right.view, right.edge, left.status, right.layers, state.kept],
        needs_result=(state.kept, [right.pin, *right.downloads.values(), right.send]),
        show_progress="hidden",
        photo=left.photo,
        **MODEL_RUNS,
    )
    run.success(None, None, None, js=scroll_to("trace-view"), **QUIET)
    left.photo.change(
        handlers.new_photo,
        [left.photo, state.stop],
        [left.painter, state.drawing],
        preprocess=False,
        **LIGHT,
    )
    left.painter.drawn(handlers.keep_drawing, None, state.drawing, **IN_ORDER)
    _wire_result(handlers, right, state)
    build_trace_api(assistant)
    return InspectTab(state.kept, right.rule, state.chosen, right.send)


def _wire_result(handlers: InspectHandlers, right: InspectResult, state: InspectState) -> None:
    """Connect what a finished or running trace lets one do; no model runs."""
    inputs = handlers.result_inputs
    right.view.pick(handlers.look_at_step, inputs, [right.edge, right.view], **IN_ORDER)
    right.view.cell(handlers.look_at_cell, inputs, right.view, **IN_ORDER)
    right.edge.cut(handlers.set_thresholds, {state.chosen}, None, **IN_ORDER)
    right.rule.change(handlers.change_rule, inputs, [right.edge, right.rule_note], **LIGHT)
    pinning = [right.view, state.pinned, right.unpin]
    right.pin.click(handlers.pin, inputs, pinning, **LIGHT)
    right.unpin.click(handlers.unpin, inputs, pinning, **LIGHT)
    for kind, button in right.downloads.items():
        wire_download(button, functools.partial(handlers.export, kind), inputs)


def _build_left() -> InspectInput:
    """Lay out the photo, and beside it buttons, examples, settings and the instance check."""
    with gr.Column(scale=5, min_width=320):
        photo = photo_field("Photo to inspect", 280, "trace-photo")
    with gr.Column(scale=6, min_width=320):
        return _build_beside(photo)


def _build_beside(photo: gr.Image) -> InspectInput:
    buttons = run_and_stop("Run", "trace-run", "trace-stop")
    status = status_line(READY, "trace-status")
    gr.Examples(
        [str(example) for example in PHOTOS],
        photo,
        label="Photos",
        elem_id="trace-photo-examples",
        api_visibility="private",
    )
    settings = build_trace_options()
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
    return InspectInput(photo, buttons, status, settings, mask, painter)


def _build_right() -> InspectResult:
    """Lay out the curve, and beside it the edge and the downloads, empty."""
    with gr.Column(scale=6, min_width=320, elem_id="trace-curves"):
        view = trace_view("trace-view")
        with gr.Row():
            pin_run = gr.Button("Pin this run", size="md", interactive=False, min_width=120)
            unpin_run = gr.Button("Unpin", size="md", interactive=False, min_width=90)
    with gr.Column(scale=5, min_width=320, elem_id="trace-edges"):
        return _build_edges(view, pin_run, unpin_run)


def _build_edges(view: gr.HTML, pin_run: gr.Button, unpin_run: gr.Button) -> InspectResult:
    gr.Markdown("## Edges from the shown step (EdgeKL)")
    rule = gr.Dropdown(
        list(RULES), value="paper", label="Threshold rule", elem_id="rule", info=None
    )
    rule_note = gr.Markdown(RULES["paper"], elem_id="rule-note")
    edge = threshold_chart("edge-chart")
    labels: dict[ExportKind, str] = {
        "arrays": "Download NPZ",
        "table": "Download CSV",
        "archive": "Download ZIP",
    }
    with gr.Row(elem_id="trace-downloads"):
        downloads = {
            kind: gr.DownloadButton(
                label, size="md", interactive=False, min_width=130, elem_id=f"take-{kind}"
            )
            for kind, label in labels.items()
        }
        send = gr.Button(
            "Send edge to Refine",
            size="md",
            interactive=False,
            min_width=130,
            elem_id="send-edge",
        )
    gr.Markdown(HONESTY, elem_id="honesty")
    with gr.Accordion("Model and layers that were averaged", open=False):
        layers = gr.Textbox(
            "",
            lines=3,
            max_lines=12,
            interactive=False,
            label="Model and layers",
            show_label=False,
        )
    return InspectResult(view, layers, rule, rule_note, edge, pin_run, unpin_run, downloads, send)
