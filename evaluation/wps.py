"""Measure panoptic predictions: PQ, SQ and RQ of all classes, of things and of stuff.

    python -m evaluation.wps --annotations VOC2012 --predictions maps --output_dir out
    python -m evaluation.wps --annotations panoptic_val2017.json --predictions pred.json \
--output_dir out

The rules are panopticapi's. Truth is COCO's panoptic JSON with its PNGs, or VOC's root (20 classes
of things, background as stuff, 255 void). Predictions are a panoptic JSON with its PNGs, or a
folder of codes: class in red and instance in green, class * 1000 + instance, ..
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evaluation.core.benchmark import Benchmark, exit_status, run
from evaluation.core.cli import Parser, add_run
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.layouts import PANOPTIC_SECTIONS
from evaluation.data.panoptic_readers import CODINGS, SegmentReader
from evaluation.data.panoptic_sets import PanopticTruth, read_predictions, read_truth
from evaluation.report.panels import WorstPanels, segments_panel
from evaluation.report.paper_tables import rows_for
from evaluation.report.plots import bars_figure
from evaluation.report.tables import Report
from segdemo.datatypes import RGBImage
from segdemo.panoptic_quality import (
    SegmentCounts,
    class_quality,
    count_segments,
    counts_by_class,
    image_quality,
    panoptic_quality,
    to_row,
)


@dataclass(frozen=True)
class PanopticSample:
    """One image's true and predicted segments."""

    truth: SegmentReader
    predictions: SegmentReader


def measure_sample(sample: PanopticSample) -> Row:
    """Read and count one image; raises InputError."""
    counts = count_segments(sample.truth.load(), sample.predictions.load())
    return {
        **{name: 100 * value for name, value in image_quality(counts).items()},
        "matched": sum(one.matched for one in counts.values()),
        "false": sum(one.false for one in counts.values()),
        "missed": sum(one.missed for one in counts.values()),
        "classes": to_row(counts),
    }


@dataclass(frozen=True, kw_only=True)
class PanopticBenchmark(Benchmark[PanopticSample]):
    """Predicted segments beside true ones."""

    program: ClassVar[str] = "wps"
    truth: PanopticTruth
    section: str

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Sum the counts of all images."""
        kept = list(rows)
        figures = metrics_of(kept, self.truth, self.section)
        by_class = {
            name.split("/")[1]: value
            for name, value in figures.items()
            if ", by class/" in name and name.endswith("/PQ")
        }
        return Report(
            program=self.program,
            protocol="panopticapi's rules, percent",
            figures=figures,
            per_image=[{k: v for k, v in row.items() if k != "classes"} for row in kept],
            counts={"images": len(kept)}
            | {name: sum(row[name] for row in kept) for name in ("matched", "false", "missed")},
            notes=[*notes, *notes_of(self.truth)],
            papers=rows_for("wps", [self.section]),
            plots={"pq_by_class": bars_figure(by_class, "PQ")},
            worst=WorstPanels([row.get("PQ") for row in kept], self.panel),
        )

    def panel(self, index: int) -> RGBImage:
        """Draw what was matched, false and missed in a sample."""
        sample = self.samples[index].payload
        return segments_panel(sample.truth.load(), sample.predictions.load())


def collect(options: argparse.Namespace) -> PanopticBenchmark:
    """Match predictions to the truth; raises InputError."""
    truth = read_truth(options.annotations, options.subset)
    predictions = read_predictions(options.predictions, truth, options.coding)
    return PanopticBenchmark(
        samples=[
            Sample(image.name, (*image.files, *files), PanopticSample(image.reader, reader))
            for place, image in enumerate(truth.images)
            if (entry := predictions.readers.get(place)) is not None
            for reader, files in [entry]
        ],
        measure=measure_sample,
        errors=[*truth.errors, *predictions.errors],
        files=[*truth.files, *predictions.files],
        truth=truth,
        section=PANOPTIC_SECTIONS.get(options.dataset) or options.annotations.stem,
    )


def metrics_of(rows: Sequence[Row], truth: PanopticTruth, section: str) -> dict[str, float]:
    """Return percent: of all classes under `section`, then those of each class."""
    images = [counts_by_class(row["classes"]) for row in rows]
    whole = panoptic_quality(images, truth.things)
    figures = {f"{section}/ours/{name}": 100 * value for name, value in whole.items()}
    for category in sorted({category for counts in images for category in counts}):
        summed = SegmentCounts()
        for counts in images:
            summed = summed.plus(counts.get(category, SegmentCounts()))
        name = truth.names[category].replace("/", " or ")
        for metric, value in zip(("PQ", "SQ", "RQ"), class_quality(summed), strict=True):
            figures[f"{section}, by class/{name}/{metric}"] = 100 * value
    return figures


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
        help="a panoptic JSON with its PNGs, or a folder of codes",
    )
    parser.add_argument("--dataset", choices=tuple(PANOPTIC_SECTIONS), help="for the papers' rows")
    parser.add_argument(
        "--coding", choices=CODINGS, help="of a folder's files (default: by the first file)"
    )
    parser.add_argument(
        "--subset", type=Path, metavar="FILE", help="names of VOC's images instead of val.txt"
    )
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: run(collect, options))


if __name__ == "__main__":
    sys.exit(main())
