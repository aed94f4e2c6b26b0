"""AP of instance masks before and after RIP (DiffEGG, tables 1, 4 and F)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from pycocotools import mask as mask_api
from scipy import ndimage

from evaluation.core.benchmark import Benchmark
from evaluation.core.predict_edges import find_edges
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.corruption import Corruption, corrupt
from evaluation.data.edge_readers import EdgeReader
from evaluation.data.instance_readers import InstanceReader, from_masks
from evaluation.data.instance_sets import read_predictions, read_truth
from evaluation.data.layouts import find_truth
from evaluation.data.validation import FileError
from evaluation.metrics.instance_metrics import (
    LABELS,
    Protocol,
    counts_of,
    curves_of,
    measure_instances,
    metrics_of,
    truth_row,
)
from evaluation.metrics.instances import Instances
from evaluation.report.panels import WorstPanels, instances_panel, side_by_side
from evaluation.report.paper_tables import rows_for
from evaluation.report.plots import average_precision_figures
from evaluation.report.tables import Report
from evaluation.rip.stages import STAGES, gains
from segdemo.annotations.points import read_points
from segdemo.datatypes import InputError, InstanceMasks, Points, RGBImage
from segdemo.rip.instances import RefinementCounts, refine_instances
from segdemo.rip.settings import RIPSettings, WalkSettings, from_pairs

SHARED = ("name", "objects", "crowds", "touching")  # columns of both stages
TRUE_POINTS = "true"
CORRUPTIONS: dict[Corruption, str] = {
    "merge": "touching neighbours merged",
    "fragment": "every mask cut into fragments",
    "both": "touching neighbours merged and the masks cut into fragments",
}


@dataclass(frozen=True)
class RefinementSample:
    """One image: its truth, its base masks (None: the truth, corrupted) and its edges.

    size: (height, width) where known. points: annotated ones, None without.
    """

    number: int
    size: tuple[int, int] | None
    truth: InstanceReader
    base: InstanceReader | None
    edges: EdgeReader
    points: Points | None = None


@dataclass(frozen=True)
class RefinementSettings:
    """What is done to each image, and what is measured.

    true_points: RIP gets the innermost pixel of each true object.
    """

    corruption: Corruption | None
    seed: int
    rip: RIPSettings
    protocol: Protocol
    true_points: bool = False


@dataclass(frozen=True)
class Refined:
    """One image's true instances, its masks before and after RIP, and what RIP did."""

    truth: Instances
    base: InstanceMasks
    after: InstanceMasks
    changes: RefinementCounts


def measure_sample(sample: RefinementSample, settings: RefinementSettings) -> Row:
    """Corrupt, repair, match before and after; raises InputError."""
    done = refine(sample, settings)
    row = truth_row(done.truth, settings.protocol)
    for stage, masks in zip(STAGES, (done.base, done.after), strict=True):
        predictions = from_masks(masks).with_box_areas()
        one = measure_instances(done.truth, predictions, settings.protocol, sample.number)
        row |= {f"{stage}: {name}": value for name, value in one.items()}
    return row | {f"RIP {name}": value for name, value in vars(done.changes).items()}


def refine(sample: RefinementSample, settings: RefinementSettings) -> Refined:
    """Read, corrupt and repair one image; raises InputError."""
    truth = sample.truth.load()
    masks = to_masks(truth, sample.size)
    if sample.base is not None:
        base = to_masks(sample.base.load(), masks.size)
    else:
        assert settings.corruption is not None and masks.crowd is not None
        rng = np.random.default_rng([settings.seed, sample.number])
        base = InstanceMasks.unscored(corrupt(masks.masks[~masks.crowd], settings.corruption, rng))
    edge = sample.edges.load(masks.size, lambda: masks.to_label_map().labels)
    points = innermost(masks) if settings.true_points else sample.points
    return Refined(truth, base, *refine_instances(base, edge, settings.rip, points=points))


def innermost(masks: InstanceMasks) -> Points:
    """Return the pixel of each mask that is farthest from its outline, (P, 2); not of crowds."""
    points = []
    for index, mask in enumerate(masks.masks):
        if mask.any() and not (masks.crowd is not None and masks.crowd[index]):
            depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
            row, column = np.unravel_index(depth.argmax(), depth.shape)
            points.append((column + 0.5, row + 0.5))
    return np.array(points, np.float64).reshape(-1, 2)


def to_masks(instances: Instances, size: tuple[int, int] | None) -> InstanceMasks:
    """Decode masks; raises InputError where there are only boxes.

    size: (height, width), for an image without instances.
    """
    if instances.rle is None:
        raise InputError("has boxes and no masks: RIP repairs masks")
    if not instances.rle and size is None:
        raise InputError("has no objects, so nothing says how large it is")
    masks = [mask_api.decode(dict(one)).astype(bool) for one in instances.rle]
    stack = np.stack(masks) if masks else np.zeros((0, *(size or ())), bool)
    return InstanceMasks(stack, instances.scores.astype(np.float32), crowd=instances.crowd)


@dataclass(frozen=True, kw_only=True)
class RefinementBenchmark(Benchmark[RefinementSample]):
    """Instances before and after RIP beside true ones."""

    program: ClassVar[str] = "rip"
    section: str
    settings: RefinementSettings
    options: argparse.Namespace

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Summarize the matches of both stages."""
        kept, protocol = list(rows), self.settings.protocol
        corruption = self.settings.corruption
        section = f"{self.section}, {corruption}" if corruption else self.section
        curves = {
            f"{LABELS[kind]}, {stage}": curves_of(stage_rows(kept, stage), kind)
            for stage in STAGES
            for kind in protocol.kinds
        }
        return Report(
            program=self.program,
            protocol="class-agnostic COCO, percent, before and after RIP",
            figures={f"{section}/{n}": v for n, v in stage_metrics(kept, protocol).items()},
            per_image=[{k: v for k, v in row.items() if not isinstance(v, dict)} for row in kept],
            counts=stage_counts(kept),
            notes=[*notes, *self.notes_of()],
            papers=rows_for("rip", [self.section]),
            plots=average_precision_figures(curves),
            worst=WorstPanels(gains(kept, "masks AP"), self.panel),
        )

    def panel(self, index: int) -> RGBImage:
        """Draw a sample before beside after."""
        done = refine(self.samples[index].payload, self.settings)
        stages = (done.base, done.after)
        return side_by_side(*(instances_panel(done.truth, from_masks(one)) for one in stages))

    def notes_of(self) -> list[str]:
        """Say what a reader of the figures must know."""
        notes = [f"edges: {self.options.edges}; RIP: {self.settings.rip}"]
        if self.settings.corruption:
            notes.append(
                f"base masks: the truth with {CORRUPTIONS[self.settings.corruption]} on purpose "
                f"(seed {self.settings.seed}), not a method's; all their scores are equal"
            )
        if self.options.points:
            true = self.settings.true_points
            source = "innermost pixels of true objects" if true else self.options.points
            notes.append(f"points: {source}, seeds of the walk")
        return notes


def collect(options: argparse.Namespace) -> RefinementBenchmark:
    """Match base masks and edges to the truth; raises InputError."""
    bench = options.bench
    options.images = options.images or (bench and bench / "images")
    location = find_truth(options.annotations or bench, options.dataset, options.subset)
    truth = read_truth(location.path, location.names, location.maps)
    base = read_predictions(options.predictions, truth) if options.predictions else None
    edges = find_edges([image.name for image in truth.images], options)
    rip = from_pairs(options.preset, options.rip)
    points = _read_points(options, [image.name for image in truth.images], rip)
    errors = [*truth.errors, *(base.errors if base else ()), *edges.errors]
    samples = []
    for place, image in enumerate(truth.images):
        if points is not None and image.name not in points:
            errors.append(FileError(image.name, f"has no points in {options.points}."))
        elif place in edges.readers:
            edge, edge_files = edges.readers[place]
            reader, files = base.readers[place] if base else (None, ())
            own = None if points is None else points[image.name]
            sample = RefinementSample(image.number, image.size, image.reader, reader, edge, own)
            samples.append(Sample(image.name, (*image.files, *files, *edge_files), sample))
    protocol = Protocol(tuple(options.iou))
    settings = RefinementSettings(
        options.damage, options.seed, rip, protocol, options.points == TRUE_POINTS
    )
    return RefinementBenchmark(
        samples=samples,
        measure=partial(measure_sample, settings=settings),
        errors=errors,
        notes=[*(base.notes if base else ()), *edges.notes],
        files=[*truth.files, *(base.files if base else ())],
        section=location.section,
        settings=settings,
        options=options,
    )


def _read_points(
    options: argparse.Namespace, names: Sequence[str], rip: RIPSettings
) -> dict[str, Points] | None:
    """Return the points of --points FILE by image, None for none and for true ones."""
    if options.points and not isinstance(rip, WalkSettings):
        raise InputError(
            f"--points are seeds of the random walk: preset {options.preset} has none."
        )
    if options.points in (None, TRUE_POINTS):
        return None
    return read_points(Path(options.points), names)


def stage_rows(rows: Sequence[Row], stage: str) -> list[Row]:
    """Return the rows of one stage, as `instance_metrics` names their values."""
    prefix = f"{stage}: "
    return [
        {
            name.removeprefix(prefix): value
            for name, value in row.items()
            if name in SHARED or name.startswith(prefix)
        }
        for row in rows
    ]


def stage_metrics(rows: Sequence[Row], protocol: Protocol) -> dict[str, float]:
    """Return "row/metric": before, after and the gain, by kind of IoU and by problem."""
    before, after = (metrics_of(stage_rows(rows, stage), protocol) for stage in STAGES)
    gain = {name: after[name] - before[name] for name in before}
    figures: dict[str, float] = {}
    for label in dict.fromkeys(name.rpartition("/")[0] for name in before):
        for stage, values in (("before", before), ("after", after), ("gain", gain)):
            for name, value in values.items():
                row, _, metric = name.rpartition("/")
                if row == label:
                    figures[f"{label}, {stage}/{metric}"] = value
    return figures


def stage_counts(rows: Sequence[Row]) -> dict[str, int]:
    """Return what there was before, and what RIP did."""
    before = counts_of(stage_rows(rows, "before"))
    return (
        {("masks before" if name == "predictions" else name): n for name, n in before.items()}
        | {
            f"masks {word}": sum(row[f"RIP {word}"] for row in rows)
            for word in ("split", "joined", "dropped")
        }
        | {"masks after": sum(row["after: predictions"] for row in rows)}
    )
