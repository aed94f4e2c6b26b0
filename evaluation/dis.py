"""Measure masks of dichotomous segmentation: DIS5K's splits, or any folder of pairs.

    python -m evaluation.dis --ground_truth DIS5K --predictions runs/masks --output_dir results
    python -m evaluation.dis --ground_truth DIS5K --model small --output_dir results

Two protocols stand side by side: `diffdis` cuts maps at 0.5 first, as DiffDIS' own script does;
`sod` measures soft maps, as most other papers do. Their figures must not be compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from evaluation.arguments import Parser, add_model_settings, add_run, check_output, exit_status
from evaluation.dis_files import (
    FILTERS,
    Pair,
    check_pair,
    find_subsets,
    match,
    prediction_folder,
    read_prediction,
    read_truth,
)
from evaluation.dis_metrics import PROTOCOLS, TRUTH_ABOVE, Means, measure_pair, row_of
from evaluation.dis_report import counts, draw, draw_worst, figures_of, notes
from evaluation.problems import Problem, settle
from evaluation.reference_tables import rows_for
from evaluation.report import Report, write_report
from evaluation.streaming import Item, Row, Workers, measure_all
from segdemo.datatypes import InputError


def check_files(pair: Pair, resize: str) -> Row:
    """Return the problems of one pair of files, each (file, sentence)."""
    found = check_pair(pair, resize)
    return {"problems": [(problem.file, problem.sentence) for problem in found]}


def measure_files(pair: Pair, resize: str, strict: bool) -> Row:
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
    row["quarter_lacks"] = measured["sod"].quarter_lacks
    return row | row_of(measured)


def evaluate(options: argparse.Namespace) -> int:
    """Match, check, measure, report; raises InputError."""
    check_output(options.output_dir, options.ground_truth, options.predictions, options.images)
    subsets = find_subsets(options.ground_truth, options.splits)
    problems, pairs = [], []
    root: Path = options.predictions or options.output_dir / "predictions"
    if options.model:
        from evaluation.dis_model import predict  # seconds: it brings PyTorch

        problems += predict(subsets, root, options)
    for subset in subsets:
        folder = prediction_folder(root, subset, len(subsets) == 1)
        found, wrong = match(subset, folder, options.suffix)
        pairs += found
        problems += wrong
    items = [Item(pair.name, (pair.truth, pair.prediction), pair) for pair in pairs]
    with Workers(options.workers) as workers:
        problems += check(items, workers, options)
        left_out = settle(problems, options.allow_missing)
        if not pairs:
            raise InputError(
                f"No file in {root} has the stem of a ground truth: check both folders."
            )
        function = partial(measure_files, resize=options.resize, strict=options.strict_reference)
        settings = (options.resize, options.strict_reference)
        rows = measure_all(items, function, workers, options.output_dir, settings)
        means, kept = collect(rows)
    report = Report(
        program="dis",
        protocol="diffdis (maps cut at 0.5) and sod (soft maps)",
        figures=figures_of(means),
        per_image=kept,
        counts=counts(kept),
        notes=left_out + notes(kept, options),
        papers=rows_for("dis"),
    )
    draw(means, options.output_dir / "plots")
    draw_worst(subsets, pairs, kept, options)
    files = [file for pair in pairs for file in (pair.truth, pair.prediction)]
    write_report(report, options.output_dir, files)
    return 0


def check(
    items: Sequence[Item[Pair]], workers: Workers, options: argparse.Namespace
) -> list[Problem]:
    """Decode every file before anything is measured; return all that is wrong."""
    function = partial(check_files, resize=options.resize)
    rows = measure_all(items, function, workers, options.output_dir, ("check", options.resize))
    return [Problem(file, sentence) for row in rows for file, sentence in row["problems"]]


def collect(rows: Iterator[Row]) -> tuple[dict[tuple[str, str], Means], list[Row]]:
    """Add rows up by (subset, protocol); return the means and the rows without their curves."""
    means: dict[tuple[str, str], Means] = {}
    kept = []
    for row in rows:
        curves = row.pop("curves")
        for protocol in PROTOCOLS:
            ahead = f"{protocol}/"
            values = {n.removeprefix(ahead): v for n, v in row.items() if n.startswith(ahead)}
            means.setdefault((row["subset"], protocol), Means()).add(values, curves[protocol])
        kept.append(row)
    return means, kept


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    parser.add_argument("--ground_truth", type=Path, required=True, metavar="DIR")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", type=Path, metavar="DIR", help="folder of grey maps")
    source.add_argument("--model", help="run this model: name, folder, file or Hub id")
    parser.add_argument("--images", type=Path, metavar="DIR", help="photographs for --model")
    add_run(parser)
    parser.add_argument("--splits", nargs="+", default=[], help="subsets, such as VD TE1")
    parser.add_argument("--resize", choices=sorted(FILTERS), default="", help="for other sizes")
    parser.add_argument("--suffix", default="", help="what predictions have behind the stem")
    parser.add_argument(
        "--strict_reference", action="store_true", help="leave S undefined where references do"
    )
    parser.add_argument("--device", default="auto", help="for --model")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    add_model_settings(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
