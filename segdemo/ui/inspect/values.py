"""What the page shows of a kept trace: values for the curve and the edge, and the words beside."""

from __future__ import annotations

import base64
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.datatypes import AttentionTrace, PseudoEdge
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.ui.inspect.options import settings_words
from segdemo.ui.inspect.traces import (
    Chosen,
    KeptTrace,
    attention_of,
    copy_pictures,
    photo_of,
    pictures_in,
    score_of,
)
from segdemo.ui.uploads import served
from segdemo.visualize import LABEL_COLOURS, NATS

_LABEL_NAMES = {
    "edge": PseudoEdge.EDGE,
    "interior": PseudoEdge.INTERIOR,
    "uncertain": PseudoEdge.UNCERTAIN,
}


@dataclass(frozen=True)
class PinnedRun:
    """A run that stays beside later ones: its curve, and its pictures in a folder of their own."""

    name: str
    folder: Path
    aspect: float
    timesteps: tuple[int, ...]
    gaps: tuple[float, ...]
    ratios: tuple[float | None, ...]


def pinned_run(kept: KeptTrace) -> PinnedRun:
    """Take what the page needs of a run that is to stay; raises InputError when it is gone."""
    curve, folder = kept.curve, copy_pictures(kept)
    return PinnedRun(_run_name(kept), folder, kept.aspect, curve.timesteps, curve.gaps, kept.ratios)


def discard_pinned(pinned: PinnedRun | None) -> None:
    """Delete a pinned run's pictures."""
    if pinned is not None:
        shutil.rmtree(pinned.folder, ignore_errors=True)


def summary(trace: KeptTrace | AttentionTrace, device: str, seconds: float) -> str:
    """Say how a trace was made and what came out."""
    count = len(trace.curve.timesteps)
    parts = [
        f"{trace.size} px",
        f"{count} steps" if count > 1 else "1 step",
        f"{len(trace.layers)} layers" if len(trace.layers) > 1 else "1 layer",
        device,
        f"{seconds:.1f} s",
    ]
    if count == 1:
        return ", ".join(parts) + ". One step has no curve."
    if trace.curve.no_peak:
        return ", ".join(parts) + ". No gap is above zero: PeakKL chooses nothing."
    return ", ".join(parts) + f". PeakKL chooses timestep {trace.curve.peak_timestep}."


def curves_value(
    kept: KeptTrace | None, pinned: PinnedRun | None, chosen: Chosen | None = None
) -> dict[str, Any] | None:
    """Return the value of `trace_view`: the run as far as it has come, and the pinned one.

    chosen: whose marked cell's attention is shown, at the step that is looked at.
    """
    if kept is None:
        return None
    curve = kept.curve
    pictures, edges = pictures_in(kept.folder, len(curve.timesteps))
    kept_of_pair = 1 if kept.settings.keep == "clean" else 0
    run = {
        "key": kept.folder.name,
        "name": _run_name(kept),
        "grid": list(kept.grid),
        "timesteps": list(curve.timesteps),
        "gaps": list(curve.gaps),
        "ratios": list(kept.ratios),
        "fixed": kept.settings.fixed_timestep,
        "peak": curve.peak,
        "peak_timestep": curve.peak_timestep,
        "peak_pair": -1 if curve.largest_gap is None else curve.largest_gap,
        "kept_of_pair": kept_of_pair,
        "aspect": round(kept.aspect, 4),
        "photo": served(photo_of(kept)),
        "pictures": [served(picture) for picture in pictures],
        "edges": [served(edge) for edge in edges],
    }
    return {
        "run": run,
        "pinned": pinned and _pinned_value(pinned),
        "cell": _cell_value(kept, chosen),
    }


def _cell_value(kept: KeptTrace, chosen: Chosen | None) -> dict[str, Any] | None:
    """Return the attention of the cell that is marked, from its lowest to its highest value."""
    if chosen is None or chosen.cell is None:
        return None
    index = chosen.step_of(kept.curve)
    attention = attention_of(kept, index, chosen.cell)
    low = attention.min()
    shown = np.rint(255 * (attention - low) / max(float(attention.max() - low), 1e-12))
    return {
        "place": chosen.cell,
        "timestep": kept.curve.timesteps[index],
        "rows": shown.shape[0],
        "columns": shown.shape[1],
        "attention": base64.b64encode(shown.astype(np.uint8).tobytes()).decode(),
    }


def edge_value(kept: KeptTrace | None, chosen: Chosen, rule: str) -> dict[str, Any] | None:
    """Return the value of `threshold_chart` for the step that is looked at."""
    if kept is None:
        return None
    index = chosen.step_of(kept.curve)
    timestep, score = kept.curve.timesteps[index], score_of(kept, index)
    edge = pseudo_edge(score, rule)
    metric = kept.settings.edge_metric
    return {
        "key": secrets.token_hex(4),  # the browser passes over a value that equals the last
        "timestep": timestep,
        "rows": score.shape[0],
        "columns": score.shape[1],
        "aspect": round(kept.aspect, 4),
        "score": base64.b64encode(score.astype("<f4").tobytes()).decode(),
        "lower": edge.lower,
        "upper": edge.upper,
        "by_hand": chosen.cuts.get(timestep),
        "note": rule_words(edge, rule),
        "hand_note": "Thresholds set by hand, for this step.",
        "unit": "nats" if metric in NATS else metric,
        "colours": {name: _css(LABEL_COLOURS[label]) for name, label in _LABEL_NAMES.items()},
    }


def rule_words(edge: PseudoEdge, asked: str) -> str:
    """Say which rule split a score, and whether the guard stepped in."""
    if edge.used_fallback:
        return (
            f"Rule asked for: {asked}. It left fewer than a tenth of the cells as interior, so the "
            f"guard stepped in and rule {edge.rule} set the lower threshold."
        )
    return f"Rule: {edge.rule}. The guard did not need to step in."


def _run_name(kept: KeptTrace) -> str:
    return f"{kept.name}, {settings_words(kept.settings)}"


def _pinned_value(pinned: PinnedRun) -> dict[str, Any]:
    pictures, edges = pictures_in(pinned.folder, len(pinned.timesteps))
    return {
        "key": pinned.folder.name,
        "name": pinned.name,
        "aspect": round(pinned.aspect, 4),
        "pictures": [served(picture) for picture in pictures if picture.exists()],
        "edges": [served(edge) for edge in edges if edge.exists()],
        "timesteps": list(pinned.timesteps),
        "gaps": list(pinned.gaps),
        "ratios": list(pinned.ratios),
    }


def _css(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
