"""Measure class-agnostic instances: AP and AR of masks, boxes and boundaries, as COCO does.

    python -m evaluation.uis --annotations truth.json --predictions maskcut.json --output_dir out
    python -m evaluation.uis --annotations VOC --dataset voc2012 --predictions maps --output_dir out

Truth and predictions are COCO's JSON or folders with a file an image (label maps, NPZ ..). Where
all scores are equal the order decides: it is fixed, and the spread over random orders stands
beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from evaluation.core.benchmark import Benchmark, exit_status, run
from evaluation.core.cli import Parser, add_run, count
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.instance_readers import CocoAnnotations, CocoPredictions, InstanceReader
from evaluation.data.instance_sets import (
    InstancePredictions,
    InstanceTruth,
    read_predictions,
    read_truth,
)
from evaluation.data.layouts import TruthLocation, find_truth, layouts
from evaluation.metrics.average_precision import LIMITS
from evaluation.metrics.federated import LIMIT, Federation, federated_figures, matches_by_class
from evaluation.metrics.instance_metrics import (
    LABELS,
    Protocol,
    counts_of,
    curves_of,
    measure_instances,
    metrics_of,
    table_row,
    truth_row,
)
from evaluation.metrics.instances import IoUKind
from evaluation.metrics.touching import REACH
from evaluation.report.panels import WorstPanels, instances_panel
from evaluation.report.paper_tables import rows_for
from evaluation.report.plots import average_precision_figures
from evaluation.report.tables import Report
from segdemo.datatypes import InputError, RGBImage

FEDERATED: tuple[IoUKind, ...] = ("segm", "bbox")  # kinds that LVIS measures


@dataclass(frozen=True)
class InstanceSample:
    """One image's truth and predictions; federation: to measure LVIS' federated AP too.

    number: the image's id, which random orders depend on.
    """

    number: int
    truth: InstanceReader
    predictions: InstanceReader
    federation: Federation | None = None


def measure_sample(sample: InstanceSample, protocol: Protocol) -> Row:
    """Read and match one image; raises InputError."""
    truth, predictions = sample.truth.load(), sample.predictions.load()
    row = truth_row(truth, protocol)
    row |= measure_instances(truth, predictions, protocol, sample.number)
    if sample.federation is not None:
        assert isinstance(sample.truth, CocoAnnotations)
        assert isinstance(sample.predictions, CocoPredictions)
        classes = sample.truth.by_class(), sample.predictions.by_class(LIMIT)
        row["classes"] = {
            kind: matches_by_class(*classes, sample.federation, kind)
            for kind in protocol.kinds
            if kind in FEDERATED
        }
    return row


@dataclass(frozen=True, kw_only=True)
class InstanceBenchmark(Benchmark[InstanceSample]):
    """Predicted instances beside true ones."""

    program: ClassVar[str] = "uis"
    location: TruthLocation
    truth: InstanceTruth
    predictions: InstancePredictions
    protocol: Protocol
    options: argparse.Namespace

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Summarize the matches of all images."""
        kept, protocol, section = list(rows), self.protocol, self.location.section
        labels = [LABELS[kind] for kind in protocol.kinds]
        curves = {LABELS[kind]: curves_of(kept, kind) for kind in protocol.kinds}
        figures = all_figures(kept, protocol, self.truth)
        values = [row["masks AP"] for row in kept] if "segm" in protocol.kinds else []
        return Report(
            program=self.program,
            protocol=f"class-agnostic COCO, percent, {', '.join(labels)}",
            figures={f"{section}/{name}": value for name, value in figures.items()},
            per_image=[table_row(row) for row in kept],
            counts=counts_of(kept),
            notes=[*notes, *self.notes_of(kept)],
            papers=rows_for("uis", [section]),
            plots=average_precision_figures(curves),
            worst=WorstPanels(values, self.panel),
        )

    def panel(self, index: int) -> RGBImage:
        """Draw what was found, false and missed in a sample."""
        sample = self.samples[index].payload
        return instances_panel(sample.truth.load(), sample.predictions.load())

    def notes_of(self, rows: Sequence[Row]) -> list[str]:
        """Say what a reader of the figures must know."""
        protocol, predictions = self.protocol, self.predictions
        notes = [self.location.note] if self.location.note else []
        if protocol.kinds == ("bbox",) and not self.options.iou:
            whose = "predictions hold" if self.truth.has_masks else "truth holds"
            notes.append(f"the {whose} boxes and no masks: AP and AR are those of boxes")
        if any(image.federation is not None for image in self.truth.images):
            notes.append(
                "LVIS' federated: means over classes, 300 predictions an image"
                if is_federated(self.truth, predictions)
                else "LVIS' federated AP is not measured: the predictions have one class at most"
            )
        if self.options.prediction_area == "box":
            notes.append(
                "APs, APm, APl, ARs ..: predictions with boxes are sized by these, as in "
                "pycocotools; --prediction_area mask sizes them by their masks, as detectron2 does"
            )
        if predictions.constant:
            orders = f", and in {protocol.shuffles} random orders" if protocol.shuffles else ""
            notes.append(f"all scores are equal: counted in the order of images and files{orders}")
        if many := sum(row["objects"] > LIMITS[-1] for row in rows):
            notes.append(
                f"images with more than {LIMITS[-1]} objects: {many}; AR100 cannot reach 100"
            )
        objects = sum(row["objects"] for row in rows)
        notes.append(f"objects in an image: {objects / max(len(rows), 1):.2f} on average")
        if "segm" in protocol.kinds:
            notes.append(
                f"problem A: two objects touch once each is dilated by {protocol.reach} pixels; "
                "problem B: none do"
            )
        return notes


def collect(options: argparse.Namespace) -> InstanceBenchmark:
    """Match predictions to the truth; raises InputError."""
    location = find_truth(options.annotations, options.dataset, options.subset)
    truth = read_truth(location.path, location.names, location.maps)
    predictions = read_predictions(options.predictions, truth, options.prediction_area)
    protocol = Protocol(
        choose_kinds(options.iou, truth, predictions),
        tuple(sorted({*LIMITS, *location.limits, *options.max_dets})),
        options.shuffles if predictions.constant else 0,
        options.touching,
    )
    by_class = is_federated(truth, predictions)
    samples = [
        Sample(
            image.name,
            (*image.files, *files),
            InstanceSample(
                image.number, image.reader, reader, image.federation if by_class else None
            ),
        )
        for image, (reader, files) in zip(truth.images, predictions.readers, strict=True)
    ]
    return InstanceBenchmark(
        samples=samples,
        measure=partial(measure_sample, protocol=protocol),
        errors=[*truth.errors, *predictions.errors],
        notes=predictions.notes,
        files=[*truth.files, *predictions.files],
        location=location,
        truth=truth,
        predictions=predictions,
        protocol=protocol,
        options=options,
    )


def choose_kinds(
    wanted: Sequence[IoUKind] | None, truth: InstanceTruth, predictions: InstancePredictions
) -> tuple[IoUKind, ...]:
    """Return what can be measured: boxes only, where truth or predictions have no masks.

    Raises InputError where masks were asked for and there are none.
    """
    if truth.has_masks and predictions.has_masks:
        return tuple(wanted or LABELS)
    if wanted and set(wanted) != {"bbox"}:
        whose = "predictions" if truth.has_masks else "truth"
        raise InputError(f"The {whose} holds boxes and no masks: give --iou bbox.")
    return ("bbox",)


def is_federated(truth: InstanceTruth, predictions: InstancePredictions) -> bool:
    """Return whether LVIS' federated AP can be measured: its truth, and predictions of classes."""
    by_json = predictions.files and all(image.federation is not None for image in truth.images)
    return bool(by_json and len(predictions.classes) > 1)


def all_figures(rows: Sequence[Row], protocol: Protocol, truth: InstanceTruth) -> dict[str, float]:
    """Return "row/metric" -> percent, LVIS' federated figures under rows of their own."""
    figures = metrics_of(rows, protocol)
    for kind in FEDERATED:
        if rows and kind in rows[0].get("classes", ()):
            found = federated_figures(rows, kind, truth.frequencies)
            label = f"{LABELS[kind]}, LVIS' federated"
            figures |= {f"{label}/{name}": 100 * value for name, value in found.items()}
    return figures


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    description, example = __doc__.split("\n\n")[:2]
    parser = Parser(description, example)
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="the truth: COCO's JSON, a folder with a file an image, or a data set's root",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="COCO's results, MaskCut's JSON, or a folder with a file an image",
    )
    parser.add_argument(
        "--dataset",
        choices=tuple(layouts()),
        help="which data set it is, for layout and papers' rows",
    )
    parser.add_argument(
        "--subset", type=Path, metavar="FILE", help="text with the names or image ids wanted"
    )
    parser.add_argument(
        "--iou",
        nargs="+",
        choices=tuple(LABELS),
        help="what ious are measured on (default: all that the data allow)",
    )
    parser.add_argument(
        "--max_dets",
        nargs="+",
        type=count,
        default=[],
        metavar="N",
        help="more limits of predictions an image beside 1, 10 and 100, as AP@N and ARN",
    )
    parser.add_argument(
        "--shuffles",
        type=int,
        default=10,
        metavar="K",
        help="random orders to measure where all scores are equal (default: %(default)s)",
    )
    parser.add_argument(
        "--prediction_area",
        choices=("box", "mask"),
        default="box",
        help="what decides whether a prediction is small, medium or large (default: %(default)s)",
    )
    parser.add_argument(
        "--touching",
        type=int,
        default=REACH,
        metavar="PIXELS",
        help="dilation after which objects count as touching, for problem A (default: %(default)s)",
    )
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: run(collect, options))


if __name__ == "__main__":
    sys.exit(main())
