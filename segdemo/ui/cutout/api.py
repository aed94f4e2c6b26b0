"""The endpoint `/segment`, for programs: one image in; mask, edge and cut-out files out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.ui.cutout.results import (
    KeptResult,
    describe,
    discard,
    read_settings,
    read_threshold,
    segment_upload,
    view_of,
)
from segdemo.ui.errors import user_errors
from segdemo.ui.events import MODEL_QUEUE, StopSignal
from segdemo.ui.kept_files import RESULT_SECONDS
from segdemo.ui.uploads import Upload


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
    with user_errors():
        settings = read_settings(size, seed, augment, ensemble, follow)
        limit = read_threshold(soft, threshold)
        kept = segment_upload(assistant, photo, settings, StopSignal().watched(progress))
        view = view_of(kept, limit)
        discard(previous)
        return str(view.mask), str(view.edge), str(view.cutout), describe(kept), kept


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
