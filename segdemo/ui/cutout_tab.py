"""The tab "Cut out": one photo in; its mask, edge and cut-out to look at and to take away."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.ui.feedback import Stopped, StopSignal, afterwards, arm_stop, plain_words, rest_stop
from segdemo.ui.options import Options, build_options
from segdemo.ui.photo_field import photo_field, run_and_stop
from segdemo.ui.result_panel import ResultPanel, build_result_panel, clear, show, unchanged
from segdemo.ui.results import (
    RESULT_SECONDS,
    KeptResult,
    Upload,
    describe,
    discard,
    read_settings,
    read_threshold,
    segment_upload,
    shown_version,
    view_of,
)

EXAMPLES = sorted((Path(__file__).parent.parent / "assets" / "examples").glob("*.jpg"))
MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
STOPPED = "Stopped. Press Segment to start again."


# Handlers -----------------------------------------------------------------------------------------


def segment_photo(
    assistant: AnnotationAssistant,
    photo: Upload | None,
    size: object,
    seed: object,
    augment: object,
    ensemble: object,
    soft: object,
    threshold: object,
    follow: object,
    stop: StopSignal,
    previous: KeptResult | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008, how Gradio finds the bar
) -> list[Any]:
    """Segment the photo and show the result; on Stop leave everything as it was."""
    with plain_words():
        try:
            settings = read_settings(size, seed, augment, ensemble, follow)
            limit = read_threshold(soft, threshold)
            kept = segment_upload(assistant, photo, settings, stop.watched(progress))
        except Stopped:
            return [*unchanged(STOPPED), previous]
        view = view_of(kept, limit)
        discard(previous)
        return [*show(view, kept), kept]


def receive(photo: Upload) -> Any:
    """Check a photo as it arrives, so that a broken one is told at once."""
    with plain_words():
        replacement = shown_version(photo)
    return gr.skip() if replacement is None else str(replacement)


def redraw(kept: KeptResult | None, soft: object, threshold: object) -> list[Any]:
    """Show the kept result with another threshold; no model runs."""
    if kept is None:
        return unchanged()
    with plain_words():
        return show(view_of(kept, read_threshold(soft, threshold)), kept)


def segment_for_programs(
    assistant: AnnotationAssistant,
    photo: Upload | None,
    size: object,
    seed: object,
    augment: object,
    ensemble: object,
    soft: object,
    threshold: object,
    follow: object,
    previous: KeptResult | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[str, str, str, dict[str, object], KeptResult]:
    """Segment one picture: mask, edge and cut-out files, and what there is to say of them."""
    with plain_words():
        settings = read_settings(size, seed, augment, ensemble, follow)
        limit = read_threshold(soft, threshold)
        kept = segment_upload(assistant, photo, settings, StopSignal().watched(progress))
        view = view_of(kept, limit)
        discard(previous)
        return str(view.mask), str(view.edge), str(view.cutout), describe(kept), kept


def press_stop(stop: StopSignal) -> str:
    """Ask the running work to end."""
    stop.press()
    return "Stopping after the pass that is running ..."


def forget(kept: KeptResult | None) -> list[Any]:
    """Take away the result of a photo that was replaced."""
    discard(kept)
    return [*clear(), None]


# Layout -------------------------------------------------------------------------------------------


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
    examples = [str(example) for example in EXAMPLES]
    gr.Examples(
        examples,
        photo,
        label="Example photos (the embedded model fails on the camel: it takes both)",
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
    afterwards(run, rest_stop, None, buttons, **QUIET)
    left.stop.click(press_stop, stop, right.status, **QUIET)


def build_endpoint(handler: Callable[..., Any], suits: DiffDISSettings) -> None:
    """Offer `/segment` to programs: hidden fields of its own, so that its signature is short."""
    hidden: dict[str, Any] = {"visible": False}
    kept = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard)
    gr.Button(**hidden).click(
        handler,
        [
            gr.File(label="photo", **hidden),
            gr.Number(0, label="size", **hidden),
            gr.Number(0, label="seed", **hidden),
            gr.Checkbox(suits.augment, label="augment", **hidden),
            gr.Number(1, label="ensemble", **hidden),
            gr.Checkbox(True, label="soft", **hidden),
            gr.Number(0.5, label="threshold", **hidden),
            gr.Checkbox(suits.follow, label="follow", **hidden),
            kept,
        ],
        [
            gr.File(label="mask", **hidden),
            gr.File(label="edge", **hidden),
            gr.File(label="cutout", **hidden),
            gr.JSON(label="info", **hidden),
            kept,
        ],
        preprocess=False,
        api_name="segment",
        api_description=(
            "Segment one picture. Returns mask and edge (8-bit PNG of its size), the cut-out (RGBA "
            "PNG), and what there is to say of them. soft=false cuts the mask at the threshold."
        ),
        **MODEL_QUEUE,
    )
