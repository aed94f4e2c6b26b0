"""PQ of class maps that RIP turns into panoptic segments, before and after (DiffEGG, table 2)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from evaluation.core.benchmark import Benchmark
from evaluation.core.predict_edges import find_edges
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.edge_readers import EdgeReader
from evaluation.data.layouts import PANOPTIC_SECTIONS
from evaluation.data.panoptic_readers import SegmentReader
from evaluation.data.panoptic_sets import PanopticTruth, read_predictions, read_truth
from evaluation.report.panels import WorstPanels, segments_panel, side_by_side
from evaluation.report.paper_tables import rows_for
from evaluation.report.tables import Report
from evaluation.rip.stages import STAGES, gains
from segdemo.datatypes import InputError, RGBImage
from segdemo.panoptic_quality import (
    Segments,
    count_segments,
    counts_by_class,
    image_quality,
    panoptic_quality,
    to_row,
)
from segdemo.rip.semantic import VOID, refine_semantic
from segdemo.rip.settings import RIPSettings, from_pairs

TRUTH = "truth"  # in place of a folder of class maps


@dataclass(frozen=True)
class ClassMapSample:
    """One image: its true segments, its class map (None: the truth's) and its edges."""

    truth: SegmentReader
    class_map: SegmentReader | None
    edges: EdgeReader


@dataclass(frozen=True)
class Refined:
    """One image's segments, true, before and after RIP; things: how many instances came out."""

    truth: Segments
    before: Segments
    after: Segments
    things: int


def measure_sample(sample: ClassMapSample, things: frozenset[int], settings: RIPSettings) -> Row:
    """Refine an image and count before and after; raises InputError."""
    done = refine(sample, things, settings)
    row: Row = {"instances after": done.things}
    for stage, segments in zip(STAGES, (done.before, done.after), strict=True):
        counts = count_segments(done.truth, segments)
        row[stage] = to_row(counts)
        row |= {
            f"{stage}: PQ": 100 * value
            for name, value in image_quality(counts).items()
            if name == "PQ"
        }
    return row


def refine(sample: ClassMapSample, things: frozenset[int], settings: RIPSettings) -> Refined:
    """Read and refine one image; before RIP each class is one segment. Raises InputError."""
    truth = sample.truth.load()
    classes = to_class_map(sample.class_map.load() if sample.class_map else truth)
    height, width = truth.ids.shape
    edge = sample.edges.load((height, width), lambda: truth.ids)
    refined = refine_semantic(classes, edge, things, settings=settings)
    whole = np.where(classes == VOID, 0, classes).astype(np.int64)
    return Refined(
        truth,
        Segments(whole, {n: n for n in np.unique(whole).tolist() if n}),
        Segments(refined.segments.astype(np.int64), dict(enumerate(refined.class_ids.tolist(), 1))),
        refined.things,
    )


def to_class_map(segments: Segments) -> npt.NDArray[np.int64]:
    """Return the class of each pixel (H, W), 255 where there is none or a crowd."""
    classes = np.full(segments.ids.shape, VOID, np.int64)
    for number, category in segments.categories.items():
        if number not in segments.crowd:
            classes[segments.ids == number] = category
    return classes


@dataclass(frozen=True, kw_only=True)
class ClassMapBenchmark(Benchmark[ClassMapSample]):
    """Panoptic segments before and after RIP beside true ones."""

    program: ClassVar[str] = "rip"
    truth: PanopticTruth
    things: frozenset[int]
    settings: RIPSettings
    options: argparse.Namespace

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Sum the counts of both stages."""
        kept, options = list(rows), self.options
        section = PANOPTIC_SECTIONS.get(options.dataset) or options.annotations.stem
        return Report(
            program=self.program,
            protocol="panopticapi's rules, percent, class maps before and after RIP",
            figures=stage_metrics(kept, self.truth, section),
            per_image=[{k: v for k, v in row.items() if k not in STAGES} for row in kept],
            counts={
                "images": len(kept),
                "instances after": sum(row["instances after"] for row in kept),
            },
            notes=[
                *notes,
                f"class maps: {'the truth' if options.semantic == TRUTH else options.semantic}; "
                "before RIP each class is one segment",
                f"edges: {options.edges}; RIP: {self.settings}",
                "the papers' rows are of networks trained on such masks, not of the masks "
                "themselves",
            ],
            papers=rows_for("wps", [section]),
            worst=WorstPanels(gains(kept, "PQ"), self.panel),
        )

    def panel(self, index: int) -> RGBImage:
        """Draw a sample before beside after."""
        done = refine(self.samples[index].payload, self.things, self.settings)
        stages = (done.before, done.after)
        return side_by_side(*(segments_panel(done.truth, one) for one in stages))


def collect(options: argparse.Namespace) -> ClassMapBenchmark:
    """Match class maps and edges to the truth; raises InputError."""
    if options.annotations is None:
        raise InputError("--semantic needs --annotations: a panoptic JSON or VOC's root.")
    if options.points:
        raise InputError("--points are for instance masks: leave them out with --semantic.")
    truth = read_truth(options.annotations, options.subset)
    class_maps: Mapping[int, Any] = {}
    errors = list(truth.errors)
    if options.semantic != TRUTH:
        found = read_predictions(Path(options.semantic), truth, "semantic")
        class_maps, errors = found.readers, errors + found.errors
    edges = find_edges([image.name for image in truth.images], options)
    samples = []
    for place, image in enumerate(truth.images):
        if place in edges.readers and (place in class_maps or options.semantic == TRUTH):
            reader, files = class_maps.get(place, (None, ()))
            edge, edge_files = edges.readers[place]
            sample = ClassMapSample(image.reader, reader, edge)
            samples.append(Sample(image.name, (*image.files, *files, *edge_files), sample))
    settings = from_pairs(options.preset, options.rip)
    things = frozenset(number for number, is_thing in truth.things.items() if is_thing)
    return ClassMapBenchmark(
        samples=samples,
        measure=partial(measure_sample, things=things, settings=settings),
        errors=[*errors, *edges.errors],
        notes=edges.notes,
        files=truth.files,
        truth=truth,
        things=things,
        settings=settings,
        options=options,
    )


def stage_metrics(rows: Sequence[Row], truth: PanopticTruth, section: str) -> dict[str, float]:
    """Return section/stage/metric in percent, and the gain."""
    before, after = (
        panoptic_quality([counts_by_class(row[stage]) for row in rows], truth.things)
        for stage in STAGES
    )
    gain = {name: after[name] - before[name] for name in before}
    return {
        f"{section}/{stage}/{name}": 100 * value
        for stage, values in (("before", before), ("after", after), ("gain", gain))
        for name, value in values.items()
    }
