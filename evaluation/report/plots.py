"""Figures and panels of results; values come in finished. matplotlib without pyplot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Figure  # all others take it from here
from PIL import Image

from evaluation.metrics.average_precision import IOU_THRESHOLDS, RECALLS, Curves
from segdemo.datatypes import RGBImage

DPI = 120
# Okabe and Ito's colours, colour-blind safe; line styles distinguish curves in grey
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
FALSE_POSITIVE, FALSE_NEGATIVE = (213, 94, 0), (0, 114, 178)  # vermilion, blue
ISO_F = (0.2, 0.4, 0.6, 0.8, 0.9)

Curve = tuple[npt.ArrayLike, npt.ArrayLike]


def precision_recall_figure(curves: Mapping[str, Curve], beta2: float = 0.3) -> Figure:
    """Draw name -> (recall, precision), with thin lines of equal F for this beta squared."""
    figure, panel = _panel("recall", "precision")
    recall = np.linspace(0.01, 1, 200)
    for level in ISO_F:
        with np.errstate(divide="ignore"):
            precision = level * recall / ((1 + beta2) * recall - level * beta2)
        inside = (precision > 0) & (precision <= 1)
        if inside.any():
            panel.plot(recall[inside], precision[inside], color="#BBBBBB", linewidth=0.6)
            end = (1.0, float(precision[inside][-1]))
            panel.annotate(f"F {level}", end, (4, -3), textcoords="offset points", fontsize=8)
    _draw(panel, curves)
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1.02)
    return figure


def threshold_figure(curves: Mapping[str, Curve], measure: str) -> Figure:
    """Draw name -> (threshold, value) of a measure between 0 and 1, such as F or E."""
    figure, panel = _panel("threshold", measure)
    _draw(panel, curves)
    panel.set_ylim(0, 1.02)
    return figure


def ap_iou_figure(curves: Mapping[str, Curve]) -> Figure:
    """Draw name -> (IoU threshold, AP)."""
    figure, panel = _panel("IoU that counts as found", "AP")
    _draw(panel, curves, marker="o")
    panel.set_ylim(bottom=0)
    return figure


def average_precision_figures(curves: Mapping[str, Curves]) -> dict[str, Figure]:
    """Draw name -> curves: AP over IoU, and precision over recall at IoU 0.5 and 0.75."""
    return {
        "ap_iou": ap_iou_figure({n: (IOU_THRESHOLDS, 100 * c.ap) for n, c in curves.items()}),
        "precision_recall": precision_recall_figure(
            {
                f"{name}, IoU {IOU_THRESHOLDS[place]:.2f}": (RECALLS, one.precision[place])
                for name, one in curves.items()
                for place in (0, 5)
            },
            1.0,
        ),
    }


def scatter_figure(
    before: npt.ArrayLike, after: npt.ArrayLike, measure: str, names: tuple[str, str]
) -> Figure:
    """Draw a dot an image, its value before and after, with the line where both are equal."""
    figure, panel = _panel(f"{measure}: {names[0]}", names[1])
    panel.scatter(before, after, s=12, color=COLOURS[0], alpha=0.6)
    low, high = min(np.min(before), np.min(after)), max(np.max(before), np.max(after))
    panel.plot((low, high), (low, high), "--", color="#777777", linewidth=1)
    return figure


def error_panel(
    image: RGBImage | None, truth: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_]
) -> RGBImage:
    """Put image, truth, prediction and errors side by side, (H, 3 or 4 W, 3) uint8.

    truth, prediction: (H, W). Too much is vermilion, too little blue, what agrees is white or
    black. Without an image the strip begins with the truth.
    """
    errors = np.repeat(_grey(truth & prediction)[..., None], 3, axis=2)
    errors[prediction & ~truth] = FALSE_POSITIVE
    errors[truth & ~prediction] = FALSE_NEGATIVE
    masks = [np.repeat(_grey(mask)[..., None], 3, axis=2) for mask in (truth, prediction)]
    return np.hstack([*([] if image is None else [image]), *masks, errors])


def verdict_panel(
    right: npt.NDArray[np.bool_], false: npt.NDArray[np.bool_], missed: npt.NDArray[np.bool_]
) -> RGBImage:
    """Draw what is right white, too much vermilion, too little blue, the later above, (H, W, 3)."""
    panel = np.repeat(_grey(right)[..., None], 3, axis=2)
    panel[false] = FALSE_POSITIVE
    panel[missed] = FALSE_NEGATIVE
    return panel


def bars_figure(values: Mapping[str, float], measure: str) -> Figure:
    """Draw a bar for each name, the highest first."""
    figure = Figure(figsize=(7, 1.2 + 0.22 * len(values)), dpi=DPI, layout="constrained")
    panel = figure.subplots()
    ordered = sorted(values.items(), key=lambda pair: pair[1])
    panel.barh([name for name, _ in ordered], [value for _, value in ordered], color=COLOURS[0])
    panel.set_xlabel(measure)
    panel.set_xlim(left=0)
    panel.grid(alpha=0.25, axis="x")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes do not change from run to run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})


def save_panel(panel: RGBImage, path: Path, widest: int = 1600) -> None:
    """Write a panel as PNG, reduced to at most `widest` pixels of width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(panel)
    image.thumbnail((widest, image.height))
    image.save(path)


def _panel(across: str, up: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7, 5), dpi=DPI, layout="constrained")
    panel = figure.subplots()
    panel.set_xlabel(across)
    panel.set_ylabel(up)
    panel.grid(alpha=0.25)
    return figure, panel


def _draw(panel: Any, curves: Mapping[str, Curve], marker: str = "") -> None:
    for index, (name, (across, up)) in enumerate(curves.items()):
        colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
        panel.plot(across, up, style, color=colour, marker=marker, label=name)
    panel.legend()


def _grey(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    return np.where(mask, 255, 0).astype(np.uint8)
