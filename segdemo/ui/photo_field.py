"""What every tab that works on one photo has: the photo, and what starts and stops."""

from __future__ import annotations

from typing import Any

import gradio as gr

from segdemo.ui.errors import say, user_errors
from segdemo.ui.events import PRIVATE, QUIET
from segdemo.ui.uploads import Upload, shown_version


def photo_field(
    label: str, height: int, elem_id: str, webcam: bool = False, visible: bool = True
) -> gr.Image:
    """Lay out the photo, which is checked as it arrives.

    webcam: whether a camera can take it; the browser asks for permission.

    Handlers take the file as it came, with `preprocess=False`: Gradio would open it itself, with
    errors of its own.
    """
    photo = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", *(["webcam"] if webcam else [])],
        visible=visible,
        label=label,
        height=height,
        buttons=["fullscreen"],
        elem_id=elem_id,
    )
    photo.upload(
        receive,
        photo,
        photo,
        preprocess=False,
        concurrency_limit=None,  # but queued: what fails outside the queue shows no toast
        **PRIVATE,
    ).failure(lambda: None, None, photo, **QUIET)
    return photo


def receive(photo: Upload) -> Any:
    """Check a photo as it arrives, so that a broken or changed one is told at once."""
    with user_errors():
        replacement = shown_version(photo, say)
    return gr.skip() if replacement is None else str(replacement)


def run_and_stop(run: str, run_id: str, stop_id: str) -> tuple[gr.Button, gr.Button]:
    """Lay out the button that starts, with the word `run` on it, and the one that stops."""
    with gr.Row():
        start = gr.Button(run, variant="primary", scale=3, elem_id=run_id)
        stop = gr.Button("Stop", interactive=False, scale=1, min_width=90, elem_id=stop_id)
    return start, stop
