"""The endpoints `/trace` and `/edges`, for programs."""

# No `from __future__ import annotations`: Gradio reads the types of an endpoint's results as
# objects, not as text

import re
import time
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
from segdemo.ui.events import MODEL_RUNS
from segdemo.ui.forms import read_settings
from segdemo.ui.inspect.options import read_timesteps
from segdemo.ui.inspect.traces import Chosen, write_export
from segdemo.ui.inspect.values import summary
from segdemo.ui.kept_files import download_folder, file_stem
from segdemo.ui.uploads import Upload, received, served, upload_name

ORIGINS = {
    "edge_kl": "read from attention by EdgeKL; this model has no edge generator",
    "edge_generator": "from the model's edge generator",
}


def build_trace_api(assistant: AnnotationAssistant) -> None:
    """Offer `/trace` and `/edges`."""

    def trace(
        photo: gr.FileData,
        timesteps: str = " ".join(map(str, PAPER_TIMESTEPS)),
        size: float = 0,
        seed: float = 0,
        layers: str = "",
        edge_timestep: str = "",
        rule: str = "paper",
    ) -> tuple[gr.FileData, gr.FileData, dict[str, Any]]:
        """Look into the attention of one image at several noise levels.

        timesteps: a falling list, or start:stop:count. layers: parts of layer names, separated by
        |. edge_timestep: the step whose edges are split, or peak for PeakKL's; empty: the model's
        own. Returns all arrays (NPZ), the gaps (CSV, nats), and what PeakKL and the threshold rule
        chose.
        """
        with user_errors():
            given = {"timesteps": timesteps, "size": size, "seed": seed, "layers": layers}
            settings = read_settings(given, assistant.trace_defaults, {"timesteps": read_timesteps})
            settings = _with_edge_timestep(settings, edge_timestep)
            upload = _required(received(photo))
            image = load_rgb(upload["path"], upload_name(upload))
            started = time.perf_counter()
            *_, complete = assistant.trace(image, settings)
            seconds = time.perf_counter() - started
            chosen = Chosen()
            chosen.start(settings.fixed_timestep)
            shown = chosen.step_of(complete.curve)
            edge = pseudo_edge(complete.steps[shown].edge_score, rule)
            stem = file_stem(upload_name(upload))
            files = write_export(complete, edge, settings, stem, shown)
            curve = complete.curve
            info = {
                "name": upload_name(upload),
                "summary": summary(complete, assistant.device_name, seconds),
                "model": assistant.backbone_description,
                "layers": list(complete.layers),
                "timesteps": list(curve.timesteps),
                "gaps": list(curve.gaps),
                "peak_timestep": curve.peak_timestep,
                "edge_timestep": curve.timesteps[shown],
                "flat": curve.no_peak,
                "rule": edge.rule,
                "guarded": edge.used_fallback,
                "lower": edge.lower,
                "upper": edge.upper,
            }
            return served(files.arrays), served(files.table), info

    def edges(
        photo: gr.FileData, edge_timestep: str = "", rule: str = "paper"
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Find instance edges of one image.

        Returns an 8-bit PNG of its size, middle grey at the threshold, and whether EdgeKL or an
        edge generator drew it.
        """
        with user_errors():
            upload = _required(received(photo))
            name = upload_name(upload)
            image = load_rgb(upload["path"], name)
            settings = _with_edge_timestep(assistant.trace_defaults, edge_timestep)
            edge = assistant.edges(image, settings, rule)
            path = download_folder() / f"{file_stem(name)}_edge.png"
            Image.fromarray(to_grey(edge.probability)).save(path)
            return served(path), {
                "name": name,
                "origin": edge.origin,
                "note": ORIGINS[edge.origin],
                "model": assistant.backbone_description,
            }

    gr.api(trace, api_name="trace", **MODEL_RUNS)
    gr.api(edges, api_name="edges", **MODEL_RUNS)


def _with_edge_timestep(settings: TraceSettings, given: object) -> TraceSettings:
    """Read "" for the model's own, "peak" for PeakKL's, or a timestep; raises InputError."""
    text = str(given if given is not None else "").strip()
    if not text:
        return settings
    if text != "peak" and not re.fullmatch(r"\d{1,4}", text):
        raise InputError(f"edge_timestep {text[:20]!r}: give a timestep, peak, or nothing.")
    return replace(settings, fixed_timestep=None if text == "peak" else int(text))


def _required(photo: Upload | None) -> Upload:
    if photo is None:
        raise InputError("There is no image: send one as `photo`.")
    return photo
