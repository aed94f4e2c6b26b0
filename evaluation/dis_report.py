"""Figures, curves and panels of `evaluation.dis`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evaluation.dis_files import Pair, Subset, find_photo, read_prediction, read_truth
from evaluation.dis_metrics import PROTOCOLS, TRUTH_ABOVE, Means, binarised, mean_of
from evaluation.panels import save_worst
from evaluation.plots import (
    Curve,
    error_panel,
    precision_recall_figure,
    save_figure,
    threshold_figure,
)
from evaluation.reference_tables import OVERALL
from evaluation.streaming import Row
from segdemo.datatypes import RGBImage
from segdemo.images import image_size, load_rgb

TESTS = ("DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4")

BySet = Mapping[tuple[str, str], Means]
"""(subset, protocol) -> means over its pictures."""


def figures_of(means: BySet) -> dict[str, float]:
    """Name the figures subset/protocol/metric, with the papers' Overall of DIS-TE1 to 4.

    Subsets of other data sets get the plain mean of their figures, "mean of subsets".
    """
    sets = {key: one.figures() for key, one in means.items()}
    subsets = list(dict.fromkeys(subset for subset, _ in sets))
    if set(TESTS) <= set(subsets):
        whole, parts = OVERALL, list(TESTS)
    else:
        whole, parts = "mean of subsets", [] if subsets[0].startswith("DIS-") else subsets
    if len(parts) > 1:
        for protocol in PROTOCOLS:
            sets[whole, protocol] = mean_of(sets[part, protocol] for part in parts)
    return {
        f"{subset}/{protocol}/{metric}": value
        for (subset, protocol), figures in sets.items()
        for metric, value in figures.items()
    }


def draw(means: BySet, folder: Path) -> None:
    """Draw the curves of the soft maps: precision and recall, F and E by threshold."""
    soft = {subset: one for (subset, protocol), one in means.items() if protocol == "sod"}
    thresholds = np.arange(255, -1, -1) / 255
    pr: dict[str, Curve] = {n: (m.curve("recall"), m.curve("precision")) for n, m in soft.items()}
    save_figure(precision_recall_figure(pr), folder / "precision_recall.png")
    for short, measure in (("f", "F"), ("e", "E")):
        curves: dict[str, Curve] = {n: (thresholds, m.curve(short)) for n, m in soft.items()}
        save_figure(threshold_figure(curves, measure), folder / f"{short}_measure.png")


def draw_worst(
    subsets: Sequence[Subset],
    pairs: Sequence[Pair],
    rows: Sequence[Row],
    options: argparse.Namespace,
) -> None:
    """Save panels of the pictures of lowest IoU, worst first, in place of an earlier run's."""
    photos: Path = options.images or options.ground_truth
    subset_of = {subset.name: subset for subset in subsets}

    def panel(index: int) -> RGBImage:
        pair = pairs[index]
        truth = read_truth(pair.truth)
        prediction = read_prediction(pair.prediction, truth.shape, options.resize)
        photo = find_photo(photos, subset_of[pair.subset], pair.stem)
        image = load_rgb(photo) if photo and image_size(photo) == truth.shape else None
        return error_panel(image, truth > TRUTH_ABOVE, binarised(prediction))

    names = [f"{pair.subset}_{pair.stem}.png" for pair in pairs]
    values = [row["diffdis/IoU"] for row in rows]
    save_worst(options.output_dir / "worst", names, values, options.panels, panel)


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Count pictures, and those whose figures need care."""
    return {
        "pictures": len(rows),
        "empty ground truths": sum(row["foreground"] == 0 for row in rows),
        "ground truths with greys": sum(row["grey_truth"] for row in rows),
        "predictions of one value": sum(row["constant"] for row in rows),
        "S with a quarter without pixels": sum(row["quarter_lacks"] for row in rows),
    }


def notes(rows: Sequence[Row], options: argparse.Namespace) -> list[str]:
    """Say what a reader of the figures must know."""
    said = [
        "diffdis: adpE is the E of DiffDIS' tables. sod: meanE is the E of most papers.",
        f"Predictions of another size: {options.resize or 'refused'} (Pillow's filter).",
    ]
    if any(row["quarter_lacks"] for row in rows):
        said.append(
            "S is undefined where a subject's centre lies in the last row or column (see counts): "
            + ("left undefined." if options.strict_reference else "the empty quarter counts 0.")
        )
    return said
