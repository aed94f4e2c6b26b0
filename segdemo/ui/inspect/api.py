"""The endpoints `/trace` and `/edges`, for programs: hidden fields with short signatures."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import Any

import gradio as gr
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.diffegg.settings import PAPER_TIMESTEPS, TraceSettings
from segdemo.images import load_rgb, to_grey
from segdemo.ui.errors import user_errors
from segdemo.ui.events import TRACE_QUEUE
from segdemo.ui.inspect.options import read_trace_settings
from segdemo.ui.inspect.traces import (
    Chosen,
    KeptTrace,
    discard_trace,
    export_trace,
    score_of,
    trace_photo,
)
from segdemo.ui.inspect.values import summary
from segdemo.ui.kept_files import RESULT_SECONDS, file_stem, new_folder
from segdemo.ui.uploads import Upload, upload_name

ORIGINS = {
    "edge_kl": "read from attention by EdgeKL; this model has no edge generator",
    "edge_generator": "from the model's edge generator",
}


def trace_for_programs(
    assistant: AnnotationAssistant,
    photo: Upload | None,
    timesteps: str,
    size: object,
    seed: object,
    layers: str,
    edge_timestep: object,
    rule: str,
    previous: KeptTrace | None,
) -> tuple[str, str, dict[str, Any], KeptTrace]:
    """Trace one picture: all arrays, the curve as a table, and what there is to say of them."""
    with user_errors():
        given = {"timesteps": timesteps, "size": size, "seed": seed, "layers": layers}
        settings = _with_edge_timestep(
            read_trace_settings(given, assistant.trace_defaults), edge_timestep
        )
        photo = _given(photo)
        image = load_rgb(photo["path"], upload_name(photo))
        *_, kept = trace_photo(assistant, image, photo, settings)
        try:
            chosen = Chosen()
            chosen.start(settings.fixed_timestep)
            shown = chosen.step_of(kept.curve)
            edge = pseudo_edge(score_of(kept, shown), rule)
            files = export_trace(kept, chosen, rule)
        except InputError:
            discard_trace(kept)
            raise
        discard_trace(previous)
        info = {
            "name": kept.name,
            "summary": summary(kept, assistant.device_name),
            "model": assistant.backbone_description,
            "layers": list(kept.layers),
            "timesteps": list(kept.curve.timesteps),
            "gaps": list(kept.curve.gaps),
            "peak_timestep": kept.curve.peak_timestep,
            "edge_timestep": kept.curve.timesteps[shown],
            "flat": kept.curve.flat,
            "rule": edge.rule,
            "guarded": edge.guarded,
            "lower": edge.lower,
            "upper": edge.upper,
        }
        return str(files.arrays), str(files.table), info, kept


def edges_for_programs(
    assistant: AnnotationAssistant, photo: Upload | None, edge_timestep: object, rule: str
) -> tuple[str, dict[str, Any]]:
    """Find one picture's instance edges: an 8-bit PNG of its size, and where they come from."""
    with user_errors():
        photo = _given(photo)
        name = upload_name(photo)
        image = load_rgb(photo["path"], name)
        settings = _with_edge_timestep(assistant.trace_defaults, edge_timestep)
        edge = assistant.edges(image, settings, rule)
        path = new_folder() / f"{file_stem(name)}_edge.png"
        Image.fromarray(to_grey(edge.probability)).save(path)
        return str(path), {
            "name": name,
            "origin": edge.origin,
            "note": ORIGINS[edge.origin],
            "model": assistant.backbone_description,
        }


def _with_edge_timestep(settings: TraceSettings, given: object) -> TraceSettings:
    """Read "" for the model's own, "peak" for PeakKL's, or a timestep; raises InputError."""
    text = str(given if given is not None else "").strip()
    if not text:
        return settings
    if text != "peak" and not re.fullmatch(r"\d{1,4}", text):
        raise InputError(f"edge_timestep {text[:20]!r}: give a timestep, peak, or nothing.")
    return replace(settings, fixed_timestep=None if text == "peak" else int(text))


def _given(photo: Upload | None) -> Upload:
    if photo is None:
        raise InputError("There is no picture: send one as `photo`.")
    return photo


def build_trace_endpoints(assistant: AnnotationAssistant) -> None:
    """Offer `/trace` and `/edges`."""
    hidden: dict[str, Any] = {"visible": False}
    kept = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard_trace)
    gr.Button(**hidden).click(
        functools.partial(trace_for_programs, assistant),
        [
            gr.File(label="photo", **hidden),
            gr.Textbox(" ".join(map(str, PAPER_TIMESTEPS)), label="timesteps", **hidden),
            gr.Number(0, label="size", **hidden),
            gr.Number(0, label="seed", **hidden),
            gr.Textbox("", label="layers", **hidden),
            gr.Textbox("", label="edge_timestep", **hidden),
            gr.Textbox("paper", label="rule", **hidden),
            kept,
        ],
        [
            gr.File(label="arrays", **hidden),
            gr.File(label="curve", **hidden),
            gr.JSON(label="info", **hidden),
            kept,
        ],
        preprocess=False,
        api_name="trace",
        api_description=(
            "Look into the attention of one picture at several noise levels. timesteps: a falling "
            "list, or start:stop:count. layers: parts of layer names, separated by |. "
            "edge_timestep: the step whose edges are split, or peak for PeakKL's; empty: the "
            "model's own. Returns all arrays (NPZ), the gaps (CSV, nats), and what PeakKL and "
            "the threshold rule chose."
        ),
        **TRACE_QUEUE,
    )
    gr.Button(**hidden).click(
        functools.partial(edges_for_programs, assistant),
        [
            gr.File(label="photo", **hidden),
            gr.Textbox("", label="edge_timestep", **hidden),
            gr.Textbox("paper", label="rule", **hidden),
        ],
        [gr.File(label="edge", **hidden), gr.JSON(label="info", **hidden)],
        preprocess=False,
        api_name="edges",
        api_description=(
            "Find instance edges of one picture: an 8-bit PNG of its size, middle grey at the "
            "threshold, and whether EdgeKL or an edge generator drew it."
        ),
        **TRACE_QUEUE,
    )
