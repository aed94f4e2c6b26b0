"""Figures of a trace: the KL curve, the edge score, the ternary edge. matplotlib without pyplot.

Values come in finished; nothing here computes what it shows. No meaning hangs on colour alone:
each colour has a shape, a line style or a word beside it. The same values give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter

from segdemo.datatypes import AttentionStep, KLCurve, PseudoEdge, RGBImage

DPI = 120
TEXT, TITLE = 11, 12  # points
MOST_TICKS = 12  # timesteps that fit beside each other
BINS = 60
PICTURE_SIDE = 512  # pixels

# Okabe and Ito's colours, colour-blind safe; they differ as greys as well
BLUE, VERMILION, YELLOW, GREY = "#0072B2", "#D55E00", "#F0E442", "#999999"
LABEL_COLOURS = {
    PseudoEdge.EDGE: (240, 228, 66),  # yellow
    PseudoEdge.INTERIOR: (0, 114, 178),  # blue
    PseudoEdge.UNCERTAIN: (153, 153, 153),  # grey
}
"""RGB of each label in `label_picture`."""

NATS = ("kl", "symmetric", "js")  # edge metrics that have this unit


def kl_curve_figure(curve: KLCurve, attention_ratios: Sequence[float | None] = ()) -> Figure:
    """Draw the gaps between neighbouring timesteps, in nats, with the largest one marked.

    attention_ratios: one a timestep, None where it was not measured; where there is any, it stands
    below the gaps with a line at 1.0, above which cells prefer their own instance. A curve without
    gaps or with none above zero says so in its title.
    """
    ratios = [(i, ratio) for i, ratio in enumerate(attention_ratios) if ratio is not None]
    figure = Figure(figsize=(8, 7 if ratios else 4.5), dpi=DPI, layout="constrained")
    panels = figure.subplots(2 if ratios else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_gaps(panels[0], curve)
    if ratios:
        _draw_ratios(panels[1], ratios, curve)
    every = -(-len(curve.timesteps) // MOST_TICKS)
    ticks = range(0, len(curve.timesteps), every)
    panels[-1].set_xticks(list(ticks), [str(curve.timesteps[i]) for i in ticks])
    panels[-1].set_xlim(-0.5, len(curve.timesteps) - 0.5)
    panels[-1].set_xlabel("timestep, from noisy to clean", fontsize=TEXT)
    return figure


def edge_score_figure(step: AttentionStep, edge: PseudoEdge, metric: str = "kl") -> Figure:
    """Draw a step's edge score with its colour bar, and its histogram with both thresholds.

    metric: how neighbours were compared, one of `TraceSettings.edge_metric`; it gives the unit.
    """
    score = step.edge_score
    unit = "nats" if metric in NATS else metric
    top = float(score.max()) or 1.0
    figure = Figure(figsize=(11, 4.8), dpi=DPI, layout="constrained")
    plane, histogram = figure.subplots(1, 2, width_ratios=(1, 1.2))
    shown = plane.imshow(score, cmap="cividis", vmin=0, vmax=top, interpolation="nearest")
    plane.set_axis_off()
    plane.set_title(f"Edge score at timestep {step.timestep}", fontsize=TITLE)
    bar = figure.colorbar(shown, ax=plane, shrink=0.9)
    bar.set_label(f"score, {unit}", fontsize=TEXT)
    bar.ax.tick_params(labelsize=TEXT)

    histogram.hist(score.ravel(), bins=BINS, range=(0, top), color=GREY, log=True)
    lines = (
        (edge.lower, "--", BLUE, f"interior below {edge.lower:.3g}"),
        (edge.upper, "-", VERMILION, f"edge above {edge.upper:.3g}"),
    )
    for threshold, style, colour, words in lines:
        words = words if 0 <= threshold <= top else f"{words}: outside, no cell"
        histogram.axvline(threshold, linestyle=style, color=colour, linewidth=2, label=words)
    histogram.set_xlim(0, top)  # a threshold may lie below zero
    histogram.set_ylim(bottom=0.5)  # so that a bar of one cell has a height
    _finish(histogram, "Cells of each score", f"score, {unit}", "cells, logarithmic")
    histogram.xaxis.set_major_locator(MaxNLocator(8))
    histogram.yaxis.set_major_formatter("{x:g}")
    histogram.yaxis.set_minor_formatter(NullFormatter())  # else small counts read 2 x 10^0
    histogram.legend(fontsize=TEXT)
    return figure


def pseudo_edge_figure(edge: PseudoEdge, timestep: int) -> Figure:
    """Draw the labels (h, w) in three colours, with their meaning and share in words below.

    timestep: the one whose score was split.
    """
    figure = Figure(figsize=(6, 6.8), dpi=DPI, layout="constrained")
    plane = figure.subplots()
    plane.imshow(label_picture(edge.labels), interpolation="nearest")
    plane.set_axis_off()
    fallback = "\n(the paper's left too little interior)" if edge.used_fallback else ""
    title = f"Pseudo-edge at timestep {timestep}, rule {edge.rule}{fallback}"
    plane.set_title(title, fontsize=TITLE)
    words = {
        PseudoEdge.EDGE: f"edge: score above {edge.upper:.3g}",
        PseudoEdge.UNCERTAIN: "uncertain: between the two",
        PseudoEdge.INTERIOR: f"interior: score below {edge.lower:.3g}",
    }
    keys = [
        Patch(
            facecolor=np.divide(LABEL_COLOURS[label], 255),
            edgecolor="black",
            label=f"{sentence} ({edge.share(label):.0%} of cells)",
        )
        for label, sentence in words.items()
    ]
    figure.legend(handles=keys, loc="outside lower center", fontsize=TEXT)
    return figure


def label_picture(labels: npt.NDArray[np.int8]) -> RGBImage:
    """Colour labels (h, w) of a `PseudoEdge` by `LABEL_COLOURS`; returns (h, w, 3) uint8."""
    picture = np.empty((*labels.shape, 3), np.uint8)
    for label, colour in LABEL_COLOURS.items():
        picture[labels == label] = colour
    return picture


def enlarge(picture: RGBImage, side: int = PICTURE_SIDE) -> RGBImage:
    """Repeat each pixel of a picture (h, w, 3) as often as `side` allows, at least once.

    All cells keep one size and hard borders, so that each can still be counted.
    """
    times = max(1, side // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def figure_png(figure: Figure) -> bytes:
    """Return a figure as PNG; without date or versions, so that equal figures are equal bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw_gaps(panel: Any, curve: KLCurve) -> None:
    """Draw each gap between its two timesteps; one timestep has none."""
    gaps = np.array(curve.gaps)
    middles = np.arange(len(gaps)) + 0.5
    panel.plot(middles, gaps, "-o", color=BLUE, linewidth=2, markersize=6)
    title = "No gap is above zero: there is no peak"
    if len(curve.timesteps) == 1:
        title = "One step, no curve"
    largest = curve.largest_gap
    if largest is not None:
        before, after = curve.pair(largest)
        title = f"PeakKL keeps timestep {curve.peak_timestep}"
        panel.plot(middles[largest], gaps[largest], "D", color=VERMILION, markersize=12)
        left = largest < len(gaps) / 2
        panel.annotate(
            f"largest gap: {before} → {after}, {gaps[largest]:.3g} nats",
            (middles[largest], gaps[largest]),
            (-8 if left else 8, 12),
            textcoords="offset points",
            ha="left" if left else "right",
            fontsize=TEXT,
        )
        panel.axvline(curve.peak, color=VERMILION, linestyle=":", linewidth=1.5)
    panel.set_ylim(0, float(gaps.max(initial=0)) * 1.2 or 1.0)
    _finish(panel, title, "", "gap to the next timestep, nats")


def _draw_ratios(panel: Any, ratios: Sequence[tuple[int, float]], curve: KLCurve) -> None:
    """Draw the intra/inter-instance attention ratio of each timestep that has one."""
    steps, values = zip(*ratios, strict=True)
    panel.plot(steps, values, "-s", color=BLUE, linewidth=2, markersize=6)
    panel.axhline(1.0, color="black", linestyle="--", linewidth=1.5, label="1.0: no preference")
    if not curve.no_peak:
        words = f"PeakKL's choice, {curve.peak_timestep}"
        panel.axvline(curve.peak, color=VERMILION, linestyle=":", linewidth=1.5, label=words)
    panel.legend(fontsize=TEXT)
    title = "Attention within the instance over attention to others as far away"
    _finish(panel, title, "", "intra / inter")


def _finish(panel: Any, title: str, across: str, up: str) -> None:
    """Write a panel's texts in readable sizes and draw its grid."""
    panel.set_title(title, fontsize=TITLE)
    panel.set_xlabel(across, fontsize=TEXT)
    panel.set_ylabel(up, fontsize=TEXT)
    panel.tick_params(labelsize=TEXT)
    panel.grid(alpha=0.3)
