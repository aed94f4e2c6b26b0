"""Measure panoptic predictions: PQ, SQ and RQ of all classes, of things and of stuff.

    python -m evaluation.wps --annotations VOC2012 --predictions maps --output_dir out
    python -m evaluation.wps --annotations panoptic_val2017.json --predictions pred.json \
--output_dir out

The rules are panopticapi's. Truth is COCO's panoptic JSON with its pictures, or VOC's root (20
classes of things, background as stuff, 255 void). Predictions are a panoptic JSON with its
pictures, or a folder of codes: class in red and instance in green, class * 1000 + instance, ..
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.arguments import Parser, add_run, check_output, exit_status
from evaluation.panels import save_worst, segments_panel
from evaluation.panoptic_quality import Tally, class_quality, panoptic_quality, tally
from evaluation.panoptic_sets import PanopticTruth, Predicted, read_predictions, read_truth
from evaluation.panoptic_sources import CODINGS, SegmentSource
from evaluation.plots import bars_figure, save_figure
from evaluation.problems import settle
from evaluation.reference_tables import rows_for
from evaluation.report import Report, write_report
from evaluation.streaming import Item, Row, measure_all
from evaluation.uis import collect, file_digest
from segdemo.datatypes import InputError, RGBImage

SECTIONS = {"voc2012": "VOC2012", "coco2017": "COCO2017"}


@dataclass(frozen=True)
class Pair:
    """One picture's true and predicted segments."""

    truth: SegmentSource
    found: SegmentSource


def measure_pair(pair: Pair) -> Row:
    """Read and count one picture; what is wrong with its files stands in `problem`."""
    try:
        counts = tally(pair.truth.load(), pair.found.load())
    except InputError as error:
        return {"problem": str(error)}
    quality = panoptic_quality([counts], dict.fromkeys(counts, True))
    return {
        **{name: 100 * quality[name] for name in ("PQ", "SQ", "RQ") if counts},
        "matched": sum(one.matched for one in counts.values()),
        "false": sum(one.false for one in counts.values()),
        "missed": sum(one.missed for one in counts.values()),
        "classes": {str(category): list(one) for category, one in counts.items()},
    }


def evaluate(options: argparse.Namespace) -> int:
    """Find, check, measure, report; raises InputError."""
    check_output(options.output_dir, options.annotations, options.predictions)
    truth = read_truth(options.annotations, options.subset)
    found = read_predictions(options.predictions, truth, options.coding)
    notes = settle([*truth.problems, *found.problems], options.allow_missing)
    items = items_of(truth, found)
    if not items:
        raise InputError(
            f"No prediction in {options.predictions} belongs to a picture of the truth."
        )
    files = [*truth.files, *found.files]
    settings = (options.coding, [file_digest(file) for file in files])
    rows = collect(measure_all(items, measure_pair, options.workers, options.output_dir, settings))
    tallies = [tallies_of(row) for row in rows]
    section = SECTIONS.get(options.dataset) or options.annotations.stem
    report = Report(
        program="wps",
        protocol="panopticapi's rules, percent",
        figures=figures_of(tallies, truth, section),
        per_image=[{k: v for k, v in row.items() if k != "classes"} for row in rows],
        counts={"pictures": len(rows)}
        | {name: sum(row[name] for row in rows) for name in ("matched", "false", "missed")},
        notes=[*notes, *notes_of(truth)],
        papers=rows_for("wps", [section]),
    )
    draw([item.payload for item in items], rows, report.figures, options)
    write_report(report, options.output_dir, files + [f for item in items for f in item.files])
    return 0


def items_of(truth: PanopticTruth, found: Predicted) -> list[Item[Pair]]:
    """Pair the pictures that have a prediction."""
    return [
        Item(picture.name, (*picture.files, *files), Pair(picture.source, source))
        for place, picture in enumerate(truth.pictures)
        if (entry := found.sources.get(place)) is not None
        for source, files in [entry]
    ]


def tallies_of(row: Row) -> dict[int, Tally]:
    """Read a row's counts by class."""
    return {int(category): Tally(*counts) for category, counts in row["classes"].items()}


def figures_of(
    tallies: Sequence[Mapping[int, Tally]], truth: PanopticTruth, section: str
) -> dict[str, float]:
    """Return percent: of all classes under `section`, then those of each class."""
    whole = panoptic_quality(tallies, truth.things)
    figures = {f"{section}/ours/{name}": 100 * value for name, value in whole.items()}
    for category in sorted({category for counts in tallies for category in counts}):
        summed = Tally()
        for counts in tallies:
            summed = summed.plus(counts.get(category, Tally()))
        name = truth.names[category].replace("/", " or ")
        for metric, value in zip(("PQ", "SQ", "RQ"), class_quality(summed), strict=True):
            figures[f"{section}, by class/{name}/{metric}"] = 100 * value
    return figures


def draw(
    pairs: Sequence[Pair],
    rows: Sequence[Row],
    figures: Mapping[str, float],
    options: argparse.Namespace,
) -> None:
    """Draw PQ by class, and the pictures of lowest PQ."""
    by_class = {
        name.split("/")[1]: value
        for name, value in figures.items()
        if ", by class/" in name and name.endswith("/PQ")
    }
    save_figure(bars_figure(by_class, "PQ"), options.output_dir / "plots" / "pq_by_class.png")

    def panel(place: int) -> RGBImage:
        return segments_panel(pairs[place].truth.load(), pairs[place].found.load())

    names, values = [row["name"] for row in rows], [row.get("PQ") for row in rows]
    save_worst(options.output_dir / "worst", names, values, options.panels, panel)


def notes_of(truth: PanopticTruth) -> list[str]:
    """Say what a reader of the figures must know."""
    notes = ["the papers' rows are of networks trained on such masks, not of the masks themselves"]
    if not any(truth.things.values()) or all(truth.things.values()):
        notes.append("the truth has things or stuff only; the other's figures are undefined")
    return notes


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="the truth: COCO's panoptic JSON, or the root of VOC or COCO",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="a panoptic JSON with its pictures, or a folder of codes",
    )
    parser.add_argument("--dataset", choices=tuple(SECTIONS), help="for the papers' rows")
    parser.add_argument(
        "--coding", choices=CODINGS, help="of a folder's files (default: by the first file)"
    )
    parser.add_argument(
        "--subset", type=Path, metavar="FILE", help="names of VOC's pictures instead of val.txt"
    )
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
