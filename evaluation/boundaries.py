"""Boundary quality by the protocol of BSDS500: ODS, OIS, AP.

    python -m evaluation.boundaries --bench BENCH --count 10
    python -m evaluation.boundaries --bench BENCH --edges maps --output_dir out

BENCH holds `images/` and `boundaries/<stem>.npz` with `boundaries` (annotators, H, W/8), bits
packed along the last axis, and `width`; or `groundTruth/` with BSDS500's MAT; or `instances/` with
label maps, whose borders then count as one annotator's (that is no BSDS figure). Measures edge maps
of a folder, or traces each image and measures EdgeKL at the step PeakKL chooses, at every step of
the grid, and the backbone's edge generator if it has one. Plain grey-value gradients stand beside
as a control.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
from scipy import ndimage

from evaluation.core.benchmark import Benchmark, exit_status, run
from evaluation.core.cli import Parser, count
from evaluation.core.predict_edges import with_traces
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.boundary_annotations import read_boundaries
from evaluation.data.boundary_sets import BoundarySample, find_samples, with_edges
from evaluation.data.validation import report_errors
from evaluation.metrics.boundary import (
    BoolArray,
    BoundaryMetrics,
    Counts,
    boundary_counts,
    boundary_metrics,
    f_measure,
    recall_precision,
    suppress_non_maxima,
)
from evaluation.report.panels import WorstPanels, boundaries_panel
from evaluation.report.plots import precision_recall_figure
from evaluation.report.tables import Report
from segdemo.checkpoints.registry import DEFAULT_BACKBONE
from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.diffegg.settings import PAPER_TIMESTEPS
from segdemo.edge_files import gradient_edges, read_edge_map
from segdemo.images import load_rgb
from segdemo.plugins import call_plugin, plugins
from segdemo.regular_files import real_path


def measure_sample(sample: BoundarySample, bins: int, thin_first: bool) -> Row:
    """Count one image's edge maps; raises InputError."""
    maps, annotators = read_sample(sample, thin_first)
    counts = {
        name: boundary_counts(edges, annotators, thresholds_of(bins))
        for name, edges in maps.items()
    }
    best = {f"{name} F": float(f_measure(*recall_precision(c)).max()) for name, c in counts.items()}
    more = {
        f"{name} {title}": float(call_plugin(title, metric, edges, annotators))
        for title, metric in plugins().edge_metrics.items()
        for name, edges in maps.items()
    }
    return best | more | {"counts": counts}


@dataclass(frozen=True, kw_only=True)
class BoundaryBenchmark(Benchmark[BoundarySample]):
    """Edge maps beside the annotators' boundaries."""

    program: ClassVar[str] = "boundaries"
    section: str
    bins: int
    thin_first: bool

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Sum the counts of all images."""
        kept = list(rows)
        counts = counts_by_map(kept)
        summed = {name: np.sum(some, axis=0) for name, some in counts.items()}
        last = list(counts)[-1]
        best = int(f_measure(*recall_precision(summed[last])).argmax())

        def panel(index: int) -> RGBImage:
            maps, annotators = read_sample(self.samples[index].payload, self.thin_first)
            return boundaries_panel(maps[last], annotators, thresholds_of(self.bins)[best])

        curves = {name: recall_precision(one) for name, one in summed.items()}
        return Report(
            program=self.program,
            protocol=f"BSDS500, {self.bins} thresholds"
            + (", ridges kept before thinning" if self.thin_first else ""),
            figures=metrics_of(counts, self.bins, self.section) | self._added(kept, list(summed)),
            per_image=[{k: v for k, v in row.items() if k != "counts"} for row in kept],
            counts={"images": len(kept)},
            notes=notes,
            plots={"precision_recall": precision_recall_figure(curves, 1.0)},
            worst=WorstPanels([row[f"{last} F"] for row in kept], panel),
        )

    def _added(self, rows: Sequence[Row], maps: Sequence[str]) -> dict[str, float]:
        """Average the metrics of plugins over the images."""
        return {
            f"{self.section}/{name}/{title}": float(
                np.mean([row[f"{name} {title}"] for row in rows])
            )
            for title in plugins().edge_metrics
            for name in maps
        }


def collect(options: argparse.Namespace) -> BoundaryBenchmark:
    """Find images, truth and edge maps, or trace a backbone; raises InputError."""
    found, errors = find_samples(options.bench, options.count or None, options.split)
    if options.edges:
        found, unmatched = with_edges(found, options.edges)
        errors += unmatched
    else:
        if not options.allow_missing:
            report_errors(errors, False)  # before hours of tracing
        found = with_traces(found, options.output_dir, options)
    thin_first = options.nms == "own"
    return BoundaryBenchmark(
        samples=[Sample(sample.photo.name, sample.files, sample) for sample in found],
        measure=partial(measure_sample, bins=options.bins, thin_first=thin_first),
        errors=errors,
        section=real_path(options.bench).name,
        bins=options.bins,
        thin_first=thin_first,
    )


def read_sample(sample: BoundarySample, thin_first: bool) -> tuple[dict[str, FloatMap], BoolArray]:
    """Return an image's edge maps by name and its annotators' planes; raises InputError."""
    image = load_rgb(sample.photo)
    annotators = read_boundaries(sample.truth)
    if annotators.shape[1:] != image.shape[:2]:
        raise InputError(f"{sample.truth.name} and its photo differ in size")
    maps = {"gradient": gradient_edges(image).probability}
    maps |= read_maps(sample.edges, (image.shape[0], image.shape[1]))
    if thin_first:
        maps = {name: suppress_non_maxima(edges) for name, edges in maps.items()}
    return maps, annotators


def read_maps(file: Path | None, size: tuple[int, int]) -> dict[str, FloatMap]:
    """Read an image's edge maps at (height, width).

    An image is one map, "edges". In an NPZ, arrays of that size are maps, smaller ones EdgeKL
    scores to be enlarged.
    """
    if file is None:
        return {}
    if file.suffix != ".npz":
        return {"edges": read_edge_map(file, size, file.name).probability}
    with np.load(file) as archive:
        return {
            name: archive[name]
            if archive[name].shape == size
            else score_to_edges(archive[name], size)
            for name in archive.files
        }


def score_to_edges(score: FloatMap, size: tuple[int, int]) -> FloatMap:
    """Enlarge an EdgeKL score to (height, width) by cubic splines and scale it to [0, 1]."""
    zoom = (size[0] / score.shape[0], size[1] / score.shape[1])
    large = ndimage.zoom(np.sqrt(score), zoom, order=3, mode="nearest", grid_mode=True)
    return (large.clip(0) / max(float(large.max()), 1e-12)).astype(np.float32)


def thresholds_of(bins: int) -> list[float]:
    """Return the protocol's thresholds k / (n + 1)."""
    return [k / (bins + 1) for k in range(1, bins + 1)]


def counts_by_map(rows: Sequence[Row]) -> Mapping[str, list[Counts]]:
    """Return the counts of each edge map, image by image."""
    names = dict.fromkeys(name for row in rows for name in row["counts"])
    return {name: [row["counts"][name] for row in rows] for name in names}


def metrics_of(counts: Mapping[str, list[Counts]], bins: int, section: str) -> dict[str, float]:
    """Return section/map/metric as shares."""
    figures: dict[str, float] = {}
    for name, some in counts.items():
        found: BoundaryMetrics = boundary_metrics(some, thresholds_of(bins))
        figures |= {f"{section}/{name}/{k.upper()}": v for k, v in vars(found).items()}
    return figures


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    parser.add_argument("--bench", type=Path, required=True, help="folder of BSDS500's form")
    parser.add_argument(
        "--count", type=int, default=10, help="images to measure, 0 = all (default: %(default)s)"
    )
    parser.add_argument(
        "--bins",
        type=count,
        default=33,
        help="thresholds; the protocol has 99 (default: %(default)s)",
    )
    parser.add_argument(
        "--split", default="", help="folder below images/ and the truth, as BSDS500's test"
    )
    parser.add_argument("--edges", type=Path, metavar="DIR", help="edge maps to measure")
    parser.add_argument(
        "--nms",
        choices=("own", "none"),
        default="own",
        help="keep the ridges of maps before they are thinned, or not (default: %(default)s)",
    )
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help="name, folder or Hub id")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=0, help="working size, 0 = the model's own")
    parser.add_argument("--layers", default="", help="regular expression on layer names")
    parser.add_argument("--timesteps", type=int, nargs="+", default=PAPER_TIMESTEPS)
    parser.add_argument("--output_dir", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument("--workers", type=count, default=1, help="processes that measure")
    parser.add_argument("--panels", type=int, default=8, metavar="N", help="worst images to draw")
    parser.add_argument(
        "--allow_missing", action="store_true", help="go on without what is missing"
    )
    return parser.parse_args(argv)


@contextmanager
def kept_or_temporary(output_dir: Path | None) -> Iterator[Path]:
    """Give the folder, or one that is removed afterwards."""
    if output_dir is not None:
        yield output_dir
        return
    with TemporaryDirectory(prefix="boundaries-") as place:
        yield Path(place)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; without --output_dir nothing is kept. 2 for wrong usage and problems."""
    options = parse(argv)
    with kept_or_temporary(options.output_dir) as options.output_dir:
        return exit_status(lambda: run(collect, options))


if __name__ == "__main__":
    sys.exit(main())
