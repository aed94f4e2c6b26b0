"""Measure class-agnostic instances: AP and AR of masks, boxes and outlines, as COCO does.

    python -m evaluation.uis --annotations truth.json --predictions maskcut.json --output_dir out
    python -m evaluation.uis --annotations VOC --dataset voc2012 --predictions maps --output_dir out

Truth and predictions are COCO's JSON or folders with a file a picture (label maps, NPZ ..). Where
all scores are equal the order decides: it is fixed, and the spread over random orders stands
beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluation.arguments import Parser, add_run, check_output, count, exit_status
from evaluation.average_precision import LIMITS, curves
from evaluation.federated import Federation, federated_figures, matches_by_class
from evaluation.instance_rows import (
    LABELS,
    Protocol,
    counts_of,
    figures_of,
    matches_of,
    measured,
    picture_row,
    plain,
)
from evaluation.layouts import LAYOUTS, TruthPlace, find_truth
from evaluation.neighbours import REACH
from evaluation.object_sets import PredictionSet, TruthSet, read_predictions, read_truth
from evaluation.object_sources import Annotations, ObjectSource, Results
from evaluation.objects import Kind
from evaluation.panels import objects_panel, save_worst
from evaluation.plots import ap_iou_figure, precision_recall_figure, save_figure
from evaluation.problems import Problem, settle
from evaluation.reference_tables import rows_for
from evaluation.report import Report, write_report
from evaluation.streaming import Item, Row, measure_all
from segdemo.datatypes import InputError, RGBImage

IOUS = (0, 5)  # 0.5 and 0.75, of the ten
FEDERATED: tuple[Kind, ...] = ("segm", "bbox")  # kinds that LVIS measures


@dataclass(frozen=True)
class Pair:
    """One picture's truth and predictions; federation: to measure LVIS' federated AP too."""

    number: int
    truth: ObjectSource
    found: ObjectSource
    federation: Federation | None = None


def measure_pair(pair: Pair, protocol: Protocol) -> Row:
    """Read and match one picture; what is wrong with its files stands in `problem`."""
    try:
        truth, found = pair.truth.load(), pair.found.load()
        row = picture_row(truth, protocol) | measured(truth, found, protocol, pair.number)
        if (federation := pair.federation) is not None:
            assert isinstance(pair.truth, Annotations) and isinstance(pair.found, Results)
            row["classes"] = {
                kind: matches_by_class(pair.truth, pair.found, federation, kind)
                for kind in protocol.kinds
                if kind in FEDERATED
            }
        return row
    except InputError as error:
        return {"problem": str(error)}


def evaluate(options: argparse.Namespace) -> int:
    """Find, check, measure, report; raises InputError."""
    check_output(options.output_dir, options.annotations, options.predictions)
    place = find_truth(options.annotations, options.dataset, options.subset)
    truth = read_truth(place.path, place.names, place.maps)
    found = read_predictions(options.predictions, truth, options.prediction_area)
    notes = settle([*truth.problems, *found.problems], options.allow_missing) + found.notes
    protocol = Protocol(
        choose_kinds(options.iou, truth, found),
        tuple(sorted({*LIMITS, *place.limits, *options.max_dets})),
        options.shuffles if found.constant else 0,
        options.touching,
    )
    classes = federated(truth, found)
    items = [
        Item(
            p.name,
            (*p.files, *files),
            Pair(p.number, p.source, source, p.federation if classes else None),
        )
        for p, (source, files) in zip(truth.pictures, found.sources, strict=True)
    ]
    files = [*truth.files, *found.files]
    settings = (protocol, options.prediction_area, [file_digest(file) for file in files], classes)
    function = partial(measure_pair, protocol=protocol)
    rows = collect(measure_all(items, function, options.workers, options.output_dir, settings))
    report = Report(
        program="uis",
        protocol=f"class-agnostic COCO, percent, {', '.join(LABELS[k] for k in protocol.kinds)}",
        figures={f"{place.section}/{n}": v for n, v in all_figures(rows, protocol, truth).items()},
        per_image=[plain(row) for row in rows],
        counts=counts_of(rows),
        notes=notes + notes_of(rows, place, truth, found, protocol, options),
        papers=rows_for("uis", [place.section]),
    )
    draw(rows, protocol, options.output_dir / "plots")
    draw_worst([item.payload for item in items], rows, protocol, options)
    write_report(report, options.output_dir, files + [f for item in items for f in item.files])
    return 0


def choose_kinds(
    wanted: Sequence[Kind] | None, truth: TruthSet, found: PredictionSet
) -> tuple[Kind, ...]:
    """Return what can be measured: boxes only, where truth or predictions have no masks.

    Raises InputError where masks were asked for and there are none.
    """
    if truth.has_masks and found.has_masks:
        return tuple(wanted or LABELS)
    if wanted and set(wanted) != {"bbox"}:
        whose = "predictions" if truth.has_masks else "truth"
        raise InputError(f"The {whose} holds boxes and no masks: give --iou bbox.")
    return ("bbox",)


def federated(truth: TruthSet, found: PredictionSet) -> bool:
    """Return whether LVIS' federated AP can be measured: its truth, and predictions of classes."""
    by_json = found.files and all(p.federation is not None for p in truth.pictures)
    return bool(by_json and len(found.classes) > 1)


def all_figures(rows: Sequence[Row], protocol: Protocol, truth: TruthSet) -> dict[str, float]:
    """Return "row/metric" -> percent, LVIS' federated figures under rows of their own."""
    figures = figures_of(rows, protocol)
    for kind in FEDERATED:
        if rows and kind in rows[0].get("classes", ()):
            found = federated_figures(rows, kind, truth.frequencies)
            label = f"{LABELS[kind]}, LVIS' federated"
            figures |= {f"{label}/{name}": 100 * value for name, value in found.items()}
    return figures


def collect(rows: Iterator[Row]) -> list[Row]:
    """Return all rows; raises InputError after a table of the problems that files had inside."""
    kept = list(rows)
    settle([Problem(row["name"], row["problem"]) for row in kept if "problem" in row], False)
    return kept


def file_digest(path: Path) -> str:
    """Return a number that changes with a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()


def notes_of(
    rows: Sequence[Row],
    place: TruthPlace,
    truth: TruthSet,
    found: PredictionSet,
    protocol: Protocol,
    options: argparse.Namespace,
) -> list[str]:
    """Say what a reader of the figures must know."""
    notes = [place.note] if place.note else []
    if protocol.kinds == ("bbox",) and not options.iou:
        whose = "predictions hold" if truth.has_masks else "truth holds"
        notes.append(f"the {whose} boxes and no masks: AP and AR are those of boxes")
    if any(p.federation is not None for p in truth.pictures):
        notes.append(
            "LVIS' federated: means over classes, 300 predictions a picture"
            if federated(truth, found)
            else "LVIS' federated AP is not measured: the predictions have one class at most"
        )
    if options.prediction_area == "box":
        notes.append(
            "APs, APm, APl, ARs ..: predictions with boxes are sized by these, as in pycocotools; "
            "--prediction_area mask sizes them by their masks, as detectron2 does"
        )
    if found.constant:
        orders = f", and in {protocol.shuffles} random orders" if protocol.shuffles else ""
        notes.append(f"all scores are equal: counted in the order of images and files{orders}")
    many = sum(row["objects"] > LIMITS[-1] for row in rows)
    if many:
        notes.append(
            f"pictures with more than {LIMITS[-1]} objects: {many}; AR100 cannot reach 100"
        )
    objects = sum(row["objects"] for row in rows)
    notes.append(f"objects in a picture: {objects / max(len(rows), 1):.2f} on average")
    if "segm" in protocol.kinds:
        notes.append(
            f"problem A: two objects touch once each grew by {protocol.reach} pixels; problem B: "
            "none do"
        )
    return notes


def draw(rows: Sequence[Row], protocol: Protocol, folder: Path) -> None:
    """Draw AP over IoU, and precision over recall at IoU 0.5 and 0.75."""
    over_iou, over_recall = {}, {}
    for kind in protocol.kinds:
        drawn = curves(matches_of(rows, kind))
        over_iou[LABELS[kind]] = (drawn.thresholds.tolist(), (100 * drawn.ap).tolist())
        recall = [k / 100 for k in range(101)]
        for place in IOUS:
            name = f"{LABELS[kind]}, IoU {drawn.thresholds[place]:.2f}"
            over_recall[name] = (recall, drawn.precision[place].tolist())
    save_figure(ap_iou_figure(over_iou), folder / "ap_iou.png")
    save_figure(precision_recall_figure(over_recall, 1.0), folder / "precision_recall.png")


def draw_worst(
    pairs: Sequence[Pair], rows: Sequence[Row], protocol: Protocol, options: argparse.Namespace
) -> None:
    """Draw the pictures of lowest AP of masks."""
    if "segm" in protocol.kinds:
        names, values = [row["name"] for row in rows], [row["masks AP"] for row in rows]

        def panel(place: int) -> RGBImage:
            return objects_panel(pairs[place].truth.load(), pairs[place].found.load())

        save_worst(options.output_dir / "worst", names, values, options.panels, panel)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    description, example = __doc__.split("\n\n")[:2]
    parser = Parser(description, example)
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="the truth: COCO's JSON, a folder with a file a picture, or a data set's root",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="COCO's results, MaskCut's JSON, or a folder with a file a picture",
    )
    parser.add_argument(
        "--dataset",
        choices=tuple(LAYOUTS),
        help="which data set it is, for layout and papers' rows",
    )
    parser.add_argument(
        "--subset", type=Path, metavar="FILE", help="text with the names or image ids wanted"
    )
    parser.add_argument(
        "--iou",
        nargs="+",
        choices=tuple(LABELS),
        help="what overlaps are measured on (default: all that the data allow)",
    )
    parser.add_argument(
        "--max_dets",
        nargs="+",
        type=count,
        default=[],
        metavar="N",
        help="more limits of predictions a picture beside 1, 10 and 100, as AP@N and ARN",
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
        help="how far objects grow to be found touching, for problem A (default: %(default)s)",
    )
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
