"""What happens in the tab "Cut out" when something is pressed or moved."""

from __future__ import annotations

from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.ui.cutout.result_panel import clear, show, unchanged
from segdemo.ui.cutout.results import (
    KeptResult,
    discard,
    read_settings,
    read_threshold,
    segment_upload,
    view_of,
)
from segdemo.ui.errors import Stopped, user_errors
from segdemo.ui.events import StopSignal
from segdemo.ui.uploads import Upload

STOPPED = "Stopped. Press Segment to start again."


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
    with user_errors():
        try:
            settings = read_settings(size, seed, augment, ensemble, follow)
            limit = read_threshold(soft, threshold)
            kept = segment_upload(assistant, photo, settings, stop.watched(progress))
        except Stopped:
            return [*unchanged(STOPPED), previous]
        view = view_of(kept, limit)
        discard(previous)
        return [*show(view, kept), kept]


def redraw(kept: KeptResult | None, soft: object, threshold: object) -> list[Any]:
    """Show the kept result with another threshold; no model runs."""
    if kept is None:
        return unchanged()
    with user_errors():
        return show(view_of(kept, read_threshold(soft, threshold)), kept)


def forget(kept: KeptResult | None) -> list[Any]:
    """Take away the result of a photo that was replaced."""
    discard(kept)
    return [*clear(), None]
