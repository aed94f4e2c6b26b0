"""Measure masks of dichotomous segmentation: DIS5K's splits, or any folders of images and masks.

    python -m evaluation.dis --ground_truth DIS5K --predictions runs/masks --output_dir results
    python -m evaluation.dis --ground_truth BENCH --model small --output_dir results
    python -m evaluation.dis --ground_truth BENCH --model small --round_trip --output_dir results

Two protocols stand side by side: `diffdis` thresholds maps at 0.5 first, as DiffDIS' own script
does; `sod` measures soft maps, as most other papers do. Their figures must not be compared. IoU is
averaged per image. With --round_trip it is the model's autoencoder that is measured, with
--autoencoder any other: what is left of true masks that go through its latents (DiffDIS, Table 1).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from evaluation.core.benchmark import Benchmark, exit_status, run
from evaluation.core.cli import Parser, add_model_settings, add_run
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.mask_pairs import (
    FILTERS,
    PredictionPair,
    Subset,
    check_pair,
    find_image,
    find_subsets,
    match,
    prediction_folder,
    read_prediction,
    read_truth,
)
from evaluation.metrics.dis import (
    CURVES,
    PROTOCOLS,
    TRUTH_ABOVE,
    Means,
    binarize,
    mean_of,
    measure_pair,
    to_row,
)
from evaluation.report.panels import WorstPanels
from evaluation.report.paper_tables import MISSING, OVERALL, rows_for
from evaluation.report.plots import (
    Curve,
    Figure,
    error_panel,
    precision_recall_figure,
    threshold_figure,
)
from evaluation.report.tables import Report
from segdemo.datatypes import InputError, RGBImage
from segdemo.images import image_size, load_rgb
from segdemo.settings import PRECISION_NAMES

TESTS = ("DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4")

MeansBySubset = Mapping[tuple[str, str], Means]
"""(subset, protocol) -> means over its images."""


def measure_files(pair: PredictionPair, resize: str, strict: bool) -> Row:
    """Measure one pair of files; raises InputError."""
    truth = read_truth(pair.truth)
    prediction = read_prediction(pair.prediction, truth.shape, resize)
    row: Row = {
        "subset": pair.subset,
        "height": truth.shape[0],
        "width": truth.shape[1],
        "grey_truth": bool(((truth > 0) & (truth < 255)).any()),
        "foreground": float((truth > TRUTH_ABOVE).mean()),
        "constant": bool(prediction.min() == prediction.max()),
    }
    measured = measure_pair(truth, prediction, strict)
    row["empty_quadrant"] = measured["sod"].empty_quadrant
    return row | to_row(measured)


@dataclass(frozen=True, kw_only=True)
class MaskBenchmark(Benchmark[PredictionPair]):
    """Predicted masks beside true ones, subset by subset."""

    program: ClassVar[str] = "dis"
    subsets: Mapping[str, Subset]
    options: argparse.Namespace

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Average each subset; curves are added up and not kept."""
        means, kept = collect_means(rows)
        return Report(
            program=self.program,
            protocol="diffdis (maps cut at 0.5) and sod (soft maps)",
            figures=metrics_of(means),
            per_image=kept,
            counts=counts_of(kept),
            notes=[*notes, *notes_of(kept, self.options)],
            papers=[] if restores(self.options) else rows_for("dis"),
            plots=draw(means),
            worst=WorstPanels([row["diffdis/IoU"] for row in kept], self.panel),
        )

    def panel(self, index: int) -> RGBImage:
        """Draw image, truth, prediction and errors of a sample."""
        pair = self.samples[index].payload
        truth = read_truth(pair.truth)
        prediction = read_prediction(pair.prediction, truth.shape, self.options.resize)
        images = self.options.images or self.options.ground_truth
        file = find_image(images, self.subsets[pair.subset], pair.stem)
        image = load_rgb(file) if file and image_size(file) == truth.shape else None
        return error_panel(image, truth > TRUTH_ABOVE, binarize(prediction))


def collect(options: argparse.Namespace) -> MaskBenchmark:
    """Match predictions to the truth, after a model was run if one is named; raises InputError."""
    subsets = find_subsets(options.ground_truth, options.splits)
    folder: Path = options.predictions or options.output_dir / "predictions"
    if options.round_trip and not options.model:
        raise InputError("--round_trip needs --model: it measures a model's autoencoder.")
    errors, pairs, notes = [], [], []
    if options.model or options.autoencoder:
        from evaluation.core.predict_masks import predict  # seconds: it brings PyTorch

        found, note = predict(subsets, folder, options)
        errors += found
        notes.append(note)
    for subset in subsets:
        place = prediction_folder(folder, subset, len(subsets) == 1)
        matched, unmatched = match(subset, place, options.suffix)
        pairs += matched
        errors += unmatched
    return MaskBenchmark(
        samples=[Sample(pair.name, (pair.truth, pair.prediction), pair) for pair in pairs],
        measure=partial(measure_files, resize=options.resize, strict=options.strict_reference),
        check=partial(check_pair, resize=options.resize),
        errors=errors,
        notes=notes,
        subsets={subset.name: subset for subset in subsets},
        options=options,
    )


def collect_means(rows: Iterator[Row]) -> tuple[MeansBySubset, list[Row]]:
    """Add rows up by (subset, protocol); return the means and the rows without their curves."""
    means: dict[tuple[str, str], Means] = {}
    kept = []
    for row in rows:
        curves = row.pop("curves")
        for protocol in PROTOCOLS:
            prefix = f"{protocol}/"
            values = {n.removeprefix(prefix): v for n, v in row.items() if n.startswith(prefix)}
            by_name = dict(zip(CURVES, curves[protocol], strict=True))
            means.setdefault((row["subset"], protocol), Means()).add(values, by_name)
        kept.append(row)
    return means, kept


def metrics_of(means: MeansBySubset) -> dict[str, float]:
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


def draw(means: MeansBySubset) -> dict[str, Figure]:
    """Draw the curves of the soft maps: precision and recall, F and E by threshold."""
    soft = {subset: one for (subset, protocol), one in means.items() if protocol == "sod"}
    thresholds = np.arange(255, -1, -1) / 255
    pr: dict[str, Curve] = {n: (m.curve("recall"), m.curve("precision")) for n, m in soft.items()}
    figures = {"precision_recall": precision_recall_figure(pr)}
    for short, measure in (("f", "F"), ("e", "E")):
        curves: dict[str, Curve] = {n: (thresholds, m.curve(short)) for n, m in soft.items()}
        figures[f"{short}_measure"] = threshold_figure(curves, measure)
    return figures


def counts_of(rows: Sequence[Row]) -> dict[str, int]:
    """Count images, and those whose figures need care."""
    return {
        "images": len(rows),
        "empty ground truths": sum(row["foreground"] == 0 for row in rows),
        "ground truths with greys": sum(row["grey_truth"] for row in rows),
        "predictions of one value": sum(row["constant"] for row in rows),
        "S with an empty quadrant": sum(row["empty_quadrant"] for row in rows),
    }


def notes_of(rows: Sequence[Row], options: argparse.Namespace) -> list[str]:
    """Say what a reader of the figures must know."""
    notes = [
        "diffdis: adpE is the E of DiffDIS' tables. sod: meanE is the E of most papers.",
        f"Predictions of another size: {options.resize or 'refused'} (Pillow's filter).",
    ]
    if restores(options):
        notes.append(
            "predictions: the true masks after the autoencoder, not a model's; DiffDIS, Table 1 "
            f"({MISSING['DiffDIS, Table 1']}) could not be had."
        )
    if any(row["empty_quadrant"] for row in rows):
        notes.append(
            "S is undefined where a subject's centroid lies in the last row or column (see "
            "counts): "
            + ("left undefined." if options.strict_reference else "the empty quadrant counts 0.")
        )
    return notes


def restores(options: argparse.Namespace) -> bool:
    """Whether an autoencoder is measured."""
    return bool(options.round_trip or options.autoencoder)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    parser.add_argument("--ground_truth", type=Path, required=True, metavar="DIR")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", type=Path, metavar="DIR", help="folder of grey maps")
    source.add_argument("--model", help="run this model: name, folder, file or Hub id")
    source.add_argument(
        "--autoencoder",
        metavar="NAME",
        help="measure an autoencoder on the true masks: its folder, or a model's (default size "
        "1024)",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="images for --model")
    parser.add_argument(
        "--round_trip", action="store_true", help="measure --model's autoencoder on the true masks"
    )
    add_run(parser)
    parser.add_argument("--splits", nargs="+", default=[], help="subsets, such as VD TE1")
    parser.add_argument("--resize", choices=sorted(FILTERS), default="", help="for other sizes")
    parser.add_argument("--suffix", default="", help="what predictions have behind the stem")
    parser.add_argument(
        "--strict_reference", action="store_true", help="leave S undefined where references do"
    )
    parser.add_argument("--device", default="auto", help="for --model")
    parser.add_argument("--precision", choices=PRECISION_NAMES, default="fp32")
    add_model_settings(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: run(collect, options))


if __name__ == "__main__":
    sys.exit(main())
