"""Class maps and edges become panoptic pictures by RIP: PQ before and after (DiffEGG, table 2)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.edge_sources import EdgeSource, find_edges
from evaluation.panels import beside, save_worst, segments_panel
from evaluation.panoptic_quality import Segments, Tally, panoptic_quality, tally
from evaluation.panoptic_sets import PanopticTruth, read_predictions, read_truth
from evaluation.panoptic_sources import SegmentSource
from evaluation.problems import settle
from evaluation.reference_tables import rows_for
from evaluation.repair_rows import STAGES
from evaluation.report import Report, write_report
from evaluation.streaming import Item, Row, measure_all
from evaluation.uis import collect, file_digest
from evaluation.wps import SECTIONS
from segdemo.datatypes import InputError, RGBImage
from segdemo.rip.semantic import VOID, refine_semantic
from segdemo.rip.settings import RIPSettings, from_pairs

TRUTH = "truth"  # in place of a folder of class maps


@dataclass(frozen=True)
class Job:
    """One picture: its true segments, its class map (None: the truth's) and its edges."""

    truth: SegmentSource
    classes: SegmentSource | None
    edges: EdgeSource


def measure_job(job: Job, things: frozenset[int], settings: RIPSettings) -> Row:
    """Repair a picture and count before and after; `problem` tells what is wrong with files."""
    try:
        done = repaired(job, things, settings)
        row: Row = {"instances after": done.things}
        for stage, found in zip(STAGES, (done.before, done.after), strict=True):
            counts = tally(done.truth, found)
            row[stage] = {str(category): list(one) for category, one in counts.items()}
            if counts:
                quality = panoptic_quality([counts], dict.fromkeys(counts, True))
                row[f"{stage}: PQ"] = 100 * quality["PQ"]
        return row
    except InputError as error:
        return {"problem": str(error)}


@dataclass(frozen=True)
class Repaired:
    """One picture's segments, true, before and after RIP; things: how many instances came out."""

    truth: Segments
    before: Segments
    after: Segments
    things: int


def repaired(job: Job, things: frozenset[int], settings: RIPSettings) -> Repaired:
    """Read and repair one picture; before RIP each class is one segment. Raises InputError."""
    truth = job.truth.load()
    known = class_map(job.classes.load() if job.classes else truth)
    height, width = truth.ids.shape
    edge = job.edges.find((height, width), lambda: truth.ids)
    found = refine_semantic(known, edge, things, settings=settings)
    whole = np.where(known == VOID, 0, known).astype(np.int64)
    return Repaired(
        truth,
        Segments(whole, {n: n for n in np.unique(whole).tolist() if n}),
        Segments(found.segments.astype(np.int64), dict(enumerate(found.class_ids.tolist(), 1))),
        found.things,
    )


def class_map(segments: Segments) -> npt.NDArray[np.int64]:
    """Return the class of each pixel (H, W), 255 where there is none or a crowd."""
    classes = np.full(segments.ids.shape, VOID, np.int64)
    for number, category in segments.categories.items():
        if number not in segments.crowd:
            classes[segments.ids == number] = category
    return classes


def evaluate_classes(options: argparse.Namespace) -> int:
    """Find, check, measure, report; raises InputError."""
    if options.annotations is None:
        raise InputError("--semantic needs --annotations: a panoptic JSON or VOC's root.")
    truth = read_truth(options.annotations, options.subset)
    maps: Mapping[int, Any] = {}
    problems = list(truth.problems)
    if options.semantic != TRUTH:
        found = read_predictions(Path(options.semantic), truth, "semantic")
        maps, problems = found.sources, problems + found.problems
    edges = find_edges([picture.name for picture in truth.pictures], options)
    notes = settle([*problems, *edges.problems], options.allow_missing) + edges.notes
    items = [
        Item(picture.name, (*picture.files, *files, *edge_files), Job(picture.source, source, edge))
        for place, picture in enumerate(truth.pictures)
        if place in edges.sources and (place in maps or options.semantic == TRUTH)
        for source, files in [maps.get(place, (None, ()))]
        for edge, edge_files in [edges.sources[place]]
    ]
    if not items:
        raise InputError("No picture has truth, a class map and edges: check the names.")
    settings = from_pairs(options.preset, options.rip)
    things = frozenset(number for number, thing in truth.things.items() if thing)
    function = partial(measure_job, things=things, settings=settings)
    identity = (settings, [file_digest(file) for file in truth.files], options.semantic == TRUTH)
    rows = collect(measure_all(items, function, options.workers, options.output_dir, identity))
    section = SECTIONS.get(options.dataset) or options.annotations.stem
    maps_of = "the truth" if options.semantic == TRUTH else options.semantic
    report = Report(
        program="pipeline",
        protocol="panopticapi's rules, percent, class maps before and after RIP",
        figures=figures(rows, truth, section),
        per_image=[{k: v for k, v in row.items() if k not in STAGES} for row in rows],
        counts={"pictures": len(rows), "instances after": sum(r["instances after"] for r in rows)},
        notes=[
            *notes,
            f"class maps: {maps_of}; before RIP each class is one segment",
            f"edges: {options.edges}; RIP: {settings}",
            "the papers' rows are of networks trained on such masks, not of the masks themselves",
        ],
        papers=rows_for("wps", [section]),
    )
    draw_worst([item.payload for item in items], rows, things, settings, options)
    write_report(report, options.output_dir, [f for item in items for f in item.files])
    return 0


def draw_worst(
    jobs: Sequence[Job],
    rows: Sequence[Row],
    things: frozenset[int],
    settings: RIPSettings,
    options: argparse.Namespace,
) -> None:
    """Draw the pictures where RIP did most harm, or least good: before beside after."""
    before, after = ([row.get(f"{stage}: PQ") for row in rows] for stage in STAGES)
    gains = [None if a is None or b is None else b - a for a, b in zip(before, after, strict=True)]

    def panel(place: int) -> RGBImage:
        done = repaired(jobs[place], things, settings)
        return beside(*(segments_panel(done.truth, one) for one in (done.before, done.after)))

    names = [row["name"] for row in rows]
    save_worst(options.output_dir / "worst", names, gains, options.panels, panel)


def figures(rows: Sequence[Row], truth: PanopticTruth, section: str) -> dict[str, float]:
    """Return section/stage/metric in percent, and the gain."""
    before, after = (
        panoptic_quality(
            [{int(c): Tally(*one) for c, one in row[stage].items()} for row in rows], truth.things
        )
        for stage in STAGES
    )
    gain = {name: after[name] - before[name] for name in before}
    stages = {"before": before, "after": after, "gain": gain}
    return {
        f"{section}/{stage}/{name}": 100 * value
        for stage, values in stages.items()
        for name, value in values.items()
    }
