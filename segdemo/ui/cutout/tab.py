"""The tab "Cut out": one photo in; its mask, edge and cut-out to look at and to take away."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.ui.cutout.api import build_segment_api
from segdemo.ui.cutout.finishing import Finishing, build_finishing
from segdemo.ui.cutout.handlers import CutoutHandlers
from segdemo.ui.cutout.options import Options, build_options
from segdemo.ui.cutout.result_panel import ResultPanel, build_result_panel, build_status
from segdemo.ui.cutout.results import discard
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
from segdemo.ui.examples import PHOTOS
from segdemo.ui.kept_files import RESULT_SECONDS
from segdemo.ui.photo_field import photo_field, run_and_stop

# An example runs once its photo is there and what was shown before is gone: the flag is set at the
# click, and used up by the change of the photo, which does not come where it was shown already. A
# run that still stops keeps the button for a while
EXPECT_EXAMPLE = "() => { window.segdemoExample = true; }"
EXPECT_NONE = "() => { window.segdemoExample = false; }"
RUN_EXAMPLE = """
() => {
  if (!window.segdemoExample) return;
  window.segdemoExample = false;
  const press = () => {
    const button = document.getElementById("segment");
    if (window.segdemoExample) return;
    if (button.disabled) setTimeout(press, 100);
    else button.click();
  };
  press();
}
"""


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
            photo = photo_field("Photo", 330, "photo", webcam=True)
            buttons = run_and_stop("Segment", "segment", "stop")
            status = build_status()
            examples = gr.Examples(
                [str(example) for example in PHOTOS],
                photo,
                label="Example photos: a click segments one",
                api_visibility="private",
            )
            options = build_options(assistant)
        with gr.Column(scale=7, min_width=320):
            panel = build_result_panel(status, assistant.models)
            finishing = build_finishing(options)
            panel.send.render()
    kept = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard)
    window = gr.State(None)
    stop = gr.State(StopSignal())  # copied for each session
    handlers = CutoutHandlers(assistant, photo, options, finishing, panel, kept, window, stop)
    run = wire_run(
        buttons,
        stop,
        panel.status,
        handlers.run,
        handlers.run_inputs,
        [*panel.images, panel.uncertainty_note, panel.status, panel.undo, kept, window],
        needs_result=(kept, panel.buttons),
        meanwhile=[panel.look, panel.compare_models],
        postprocess=False,
        show_progress_on=panel.compare,
        photo=photo,
        **MODEL_RUNS,
    )
    run.success(None, None, None, js=scroll_to("results", "compare"), **QUIET)
    wire_run(
        (panel.look, buttons[1]),
        stop,
        panel.status,
        handlers.look_closer,
        handlers.look_inputs,
        [*panel.changing, panel.status, panel.undo, kept],
        needs_result=(kept, panel.buttons),
        meanwhile=[buttons[0], panel.compare_models],
        postprocess=False,
        show_progress_on=panel.window,
        photo=photo,
        **MODEL_RUNS,
    )
    if len(assistant.models) > 1:
        wire_run(
            (panel.compare_models, buttons[1]),
            stop,
            panel.status,
            handlers.compare,
            handlers.compare_inputs,
            [panel.two_models, panel.status],
            needs_result=(kept, panel.buttons),
            meanwhile=[buttons[0], panel.look],
            postprocess=False,
            show_progress_on=panel.two_models,
            photo=photo,
            **MODEL_RUNS,
        )
    panel.window.mark(handlers.mark, None, window, **IN_ORDER)
    for event, handler in (
        (panel.window.stroke, handlers.paint),
        (panel.undo.click, handlers.undo),
    ):
        event(
            handler,
            handlers.result_inputs,
            [*panel.changing, panel.status, panel.undo, kept],
            preprocess=False,
            postprocess=False,
            **(IN_ORDER | {"concurrency_id": "touch-up"}),
        )
    examples.dataset.click(None, None, None, js=EXPECT_EXAMPLE, **QUIET)
    photo.upload(None, None, None, js=EXPECT_NONE, **QUIET)
    forgotten = photo.change(
        handlers.forget,
        {photo, kept, stop},
        [*panel.all, kept, window],
        preprocess=False,
        **QUIET,
    )
    forgotten.then(None, None, None, js=RUN_EXAMPLE, **QUIET)
    _wire_result(handlers, finishing, panel)
    build_segment_api(assistant)
    return CutoutTab(options, kept, panel.send)


def _wire_result(handlers: CutoutHandlers, finishing: Finishing, panel: ResultPanel) -> None:
    """Connect what needs no model: the threshold, finishing and the downloads."""
    options = finishing.options
    options.soft.change(
        lambda soft: gr.update(interactive=not soft), options.soft, options.threshold, **QUIET
    )
    gr.on(
        [
            *(options.soft.change, options.threshold.change),
            *(finishing.low.change, finishing.high.change, finishing.trim.change),
            *(finishing.background.change, finishing.colour.change, finishing.photo.change),
            finishing.file_format.change,
        ],
        handlers.redraw,
        handlers.result_inputs,
        [*panel.changing, panel.status],
        preprocess=False,
        postprocess=False,
        **LIGHT,
    )
    inputs = handlers.result_inputs
    for kind, button in panel.downloads.items():
        work = functools.partial(handlers.download, kind)
        wire_download(button, work, inputs, preprocess=False)
    wire_download(panel.download_all, handlers.download_all, inputs, preprocess=False)
