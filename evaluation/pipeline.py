"""Measure what RIP makes of masks: AP or PQ before and after, for masks and edges of any method.

    python -m evaluation.pipeline --bench BENCH/coco_instances --damage merge --edges true \
--output_dir out
    python -m evaluation.pipeline --annotations truth.json --predictions maskcut.json \
--images val2017 --edges small --output_dir out

Masks are a base method's predictions, or the truth damaged on purpose: neighbours merged (problem
A), objects in pieces (problem B), or both. Edges come from a folder, a backbone, the picture's own
gradients, or the truth, which shows what RIP does where edges are perfect. With class maps
(--semantic) and a panoptic truth the figures are PQ, SQ and RQ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from evaluation.arguments import Parser, add_run, check_output, exit_status
from evaluation.average_precision import curves
from evaluation.damage import Damage
from evaluation.edge_sources import EdgeSource, find_edges
from evaluation.instance_rows import LABELS, Protocol, matches_of
from evaluation.layouts import LAYOUTS, find_truth
from evaluation.object_sets import PredictionSet, TruthSet, read_predictions, read_truth
from evaluation.object_sources import of_masks
from evaluation.panels import beside, objects_panel, save_worst
from evaluation.plots import ap_iou_figure, save_figure
from evaluation.problems import settle
from evaluation.reference_tables import rows_for
from evaluation.repair_classes import evaluate_classes
from evaluation.repair_rows import (
    STAGES,
    Job,
    Settings,
    counts,
    figures,
    measure_job,
    repaired,
    stage_rows,
    table_row,
)
from evaluation.report import Report, write_report
from evaluation.streaming import Item, Row, measure_all
from evaluation.uis import collect, file_digest
from segdemo.datatypes import InputError, RGBImage
from segdemo.rip.settings import PRESETS, from_pairs

DAMAGED: dict[Damage, str] = {
    "merge": "touching neighbours merged",
    "fragment": "every mask cut into pieces",
    "both": "touching neighbours merged and the masks cut into pieces",
}


def evaluate(options: argparse.Namespace) -> int:
    """Find, check, measure, report; raises InputError."""
    if options.bench:
        options.annotations = options.annotations or options.bench
        options.images = options.images or options.bench / "images"
    place = find_truth(options.annotations, options.dataset, options.subset)
    truth = read_truth(place.path, place.names, place.maps)
    base = read_predictions(options.predictions, truth) if options.predictions else None
    edges = find_edges([picture.name for picture in truth.pictures], options)
    problems = [*truth.problems, *(base.problems if base else ()), *edges.problems]
    notes = settle(problems, options.allow_missing) + (base.notes if base else []) + edges.notes
    settings = Settings(
        options.damage,
        options.seed,
        from_pairs(options.preset, options.rip),
        Protocol(tuple(options.iou)),
    )
    items = items_of(truth, base, edges.sources)
    if not items:
        raise InputError("No picture has truth, masks and edges: check the names.")
    files = [*truth.files, *(base.files if base else ())]
    identity = (settings, [file_digest(file) for file in files])
    function = partial(measure_job, settings=settings)
    rows = collect(measure_all(items, function, options.workers, options.output_dir, identity))
    section = f"{place.section}, {options.damage}" if options.damage else place.section
    report = Report(
        program="pipeline",
        protocol="class-agnostic COCO, percent, before and after RIP",
        figures={f"{section}/{n}": v for n, v in figures(rows, settings.protocol).items()},
        per_image=[table_row(row) for row in rows],
        counts=counts(rows),
        notes=notes + notes_of(options, settings),
        papers=rows_for("pipeline", [place.section]) + rows_for("uis", [place.section]),
    )
    draw(rows, settings.protocol, options.output_dir / "plots")
    draw_worst([item.payload for item in items], rows, settings, options)
    write_report(report, options.output_dir, files + [f for item in items for f in item.files])
    return 0


def check_data(options: argparse.Namespace) -> None:
    """Refuse to write results into the data; raises InputError."""
    named = [Path(text) for text in (options.edges, options.semantic) if text]
    data = (options.bench, options.annotations, options.predictions, options.images)
    check_output(options.output_dir, *data, *(path for path in named if path.is_dir()))


def items_of(
    truth: TruthSet,
    base: PredictionSet | None,
    edges: Mapping[int, tuple[EdgeSource, tuple[Path, ...]]],
) -> list[Item[Job]]:
    """Pair the pictures that have edges with their base masks."""
    items = []
    for place, picture in enumerate(truth.pictures):
        if place in edges:
            edge, edge_files = edges[place]
            source, files = base.sources[place] if base else (None, ())
            job = Job(picture.number, picture.size, picture.source, source, edge)
            items.append(Item(picture.name, (*picture.files, *files, *edge_files), job))
    return items


def notes_of(options: argparse.Namespace, settings: Settings) -> list[str]:
    """Say what a reader of the figures must know."""
    notes = [f"edges: {options.edges}; RIP: {settings.rip}"]
    if options.damage:
        notes.append(
            f"base masks: the truth with {DAMAGED[options.damage]} on purpose (seed "
            f"{settings.seed}), not a method's; all their scores are equal"
        )
    return notes


def draw(rows: Sequence[Row], protocol: Protocol, folder: Path) -> None:
    """Draw AP over IoU, before and after."""
    lines = {}
    for stage in STAGES:
        for kind in protocol.kinds:
            drawn = curves(matches_of(stage_rows(rows, stage), kind))
            lines[f"{LABELS[kind]}, {stage}"] = (
                drawn.thresholds.tolist(),
                (100 * drawn.ap).tolist(),
            )
    save_figure(ap_iou_figure(lines), folder / "ap_iou.png")


def draw_worst(
    jobs: Sequence[Job], rows: Sequence[Row], settings: Settings, options: argparse.Namespace
) -> None:
    """Draw the pictures where RIP did most harm, or least good: before beside after."""
    before, after = ([row.get(f"{stage}: masks AP") for row in rows] for stage in STAGES)
    gains = [None if a is None or b is None else b - a for a, b in zip(before, after, strict=True)]

    def panel(place: int) -> RGBImage:
        done = repaired(jobs[place], settings)
        stages = (done.base, done.after)
        return beside(*(objects_panel(done.truth, of_masks(masks)) for masks in stages))

    names = [row["name"] for row in rows]
    save_worst(options.output_dir / "worst", names, gains, options.panels, panel)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument(
        "--bench", type=Path, metavar="DIR", help="folder with `instances` and `images`"
    )
    truth.add_argument(
        "--annotations", type=Path, metavar="FILE|DIR", help="the truth, as evaluation.uis has it"
    )
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--predictions", type=Path, metavar="FILE|DIR", help="masks of a base method")
    base.add_argument(
        "--damage", choices=get_args(Damage), help="damage the truth instead: see above"
    )
    base.add_argument(
        "--semantic",
        metavar="DIR|truth",
        help="class maps of a base method, or those of the panoptic truth",
    )
    parser.add_argument(
        "--edges",
        required=True,
        metavar="true|gradient|DIR|BACKBONE",
        help="true edges, gradients, a folder of edge maps, or a backbone's name, folder or Hub id",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="photographs")
    parser.add_argument("--dataset", choices=tuple(LAYOUTS), help="for layout and papers' rows")
    parser.add_argument("--subset", type=Path, metavar="FILE", help="names or image ids wanted")
    parser.add_argument("--iou", nargs="+", choices=tuple(LABELS), default=["segm"])
    parser.add_argument("--preset", choices=tuple(PRESETS), default="robust", help="of RIP")
    parser.add_argument(
        "--rip", nargs="+", default=[], metavar="NAME=NUMBER", help="changes of RIP's settings"
    )
    parser.add_argument("--seed", type=int, default=0, help="of --damage")
    parser.add_argument("--device", default="auto", help="for a backbone")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)

    def work() -> int:
        check_data(options)
        return evaluate_classes(options) if options.semantic else evaluate(options)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
