"""Boundary quality by the protocol of BSDS500: ODS, OIS, AP.

    python -m evaluation.boundaries --bench BENCH --count 10
    python -m evaluation.boundaries --bench BENCH --edges maps --output_dir out

BENCH holds `images/` and `boundaries/<stem>.npz` with `boundaries` (annotators, H, W/8), bits
packed along the last axis, and `width`; or `groundTruth/` with BSDS500's MAT; or `instances/` with
label maps, whose borders then count as one annotator's (that is no BSDS figure). Measures edge maps
of a folder, or traces each picture and measures EdgeKL at the step PeakKL chooses, at every step of
the grid, and the backbone's edge generator if it has one. Plain grey-value gradients stand beside
as a control.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import ndimage

from evaluation.arguments import Parser, check_output, count, exit_status
from evaluation.boundary_matching import (
    BoolArray,
    BoundaryFigures,
    Counts,
    boundary_counts,
    boundary_figures,
    f_measure,
    recall_precision,
    suppress_non_maxima,
)
from evaluation.boundary_pictures import Picture, find_pictures, with_edges, with_traces
from evaluation.boundary_truth import read_boundaries
from evaluation.panels import boundaries_panel, save_worst
from evaluation.plots import precision_recall_figure, save_figure
from evaluation.problems import settle
from evaluation.report import Report, write_report
from evaluation.streaming import Item, Row, measure_all
from evaluation.uis import collect
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.diffegg.settings import PAPER_TIMESTEPS
from segdemo.edge_files import gradient_edges, read_edge_map
from segdemo.images import load_rgb


def measure_picture(picture: Picture, bins: int, thin_first: bool) -> Row:
    """Count one picture's edge maps; what is wrong with its files stands in `problem`."""
    try:
        maps, annotators = read_picture(picture, thin_first)
    except InputError as error:
        return {"problem": str(error)}
    counts = {
        name: boundary_counts(edges, annotators, thresholds_of(bins))
        for name, edges in maps.items()
    }
    best = {f"{name} F": float(f_measure(*recall_precision(c)).max()) for name, c in counts.items()}
    return best | {"counts": {name: found.tolist() for name, found in counts.items()}}


def read_picture(picture: Picture, thin_first: bool) -> tuple[dict[str, FloatMap], BoolArray]:
    """Return a picture's edge maps by name and its annotators' planes; raises InputError."""
    image = load_rgb(picture.photo)
    annotators = read_boundaries(picture.truth)
    if annotators.shape[1:] != image.shape[:2]:
        raise InputError(f"{picture.truth.name} and its photo differ in size")
    maps = {"gradient": gradient_edges(image).probability}
    maps |= read_maps(picture.edges, (image.shape[0], image.shape[1]))
    if thin_first:
        maps = {name: suppress_non_maxima(edges) for name, edges in maps.items()}
    return maps, annotators


def read_maps(file: Path | None, size: tuple[int, int]) -> dict[str, FloatMap]:
    """Read a picture's edge maps at (height, width).

    A picture is one map, "edges". In an NPZ, arrays of that size are maps, smaller ones EdgeKL
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


def evaluate(options: argparse.Namespace, output_dir: Path) -> int:
    """Find, trace, measure, report; raises InputError."""
    check_output(output_dir, options.bench, options.edges)
    pictures, problems = find_pictures(options.bench, options.count or None, options.split)
    if options.edges:
        pictures, lacking = with_edges(pictures, options.edges)
        problems += lacking
    notes = settle(problems, options.allow_missing)
    if not options.edges:
        pictures = with_traces(pictures, output_dir, options)
    items = [Item(picture.photo.name, picture.files, picture) for picture in pictures]
    thin_first = options.nms == "own"
    function = partial(measure_picture, bins=options.bins, thin_first=thin_first)
    settings = (options.bins, thin_first)
    rows = collect(measure_all(items, function, options.workers, output_dir, settings))
    section = options.bench.resolve().name
    report = Report(
        program="boundaries",
        protocol=f"BSDS500, {options.bins} thresholds"
        + (", ridges kept before thinning" if thin_first else ""),
        figures=figures_of(rows, options.bins, section),
        per_image=[{k: v for k, v in row.items() if k != "counts"} for row in rows],
        counts={"pictures": len(rows)},
        notes=notes,
    )
    draw(rows, options.bins, output_dir / "plots")
    draw_worst(pictures, rows, options, output_dir / "worst")
    write_report(report, output_dir, [f for item in items for f in item.files])
    return 0


def counts_by_map(rows: Sequence[Row]) -> Mapping[str, list[Counts]]:
    """Return the counts of each edge map, picture by picture."""
    names = dict.fromkeys(name for row in rows for name in row["counts"])
    return {name: [np.array(row["counts"][name]) for row in rows] for name in names}


def figures_of(rows: Sequence[Row], bins: int, section: str) -> dict[str, float]:
    """Return section/map/metric as shares."""
    figures: dict[str, float] = {}
    for name, counts in counts_by_map(rows).items():
        found: BoundaryFigures = boundary_figures(counts, thresholds_of(bins))
        figures |= {f"{section}/{name}/{k.upper()}": v for k, v in vars(found).items()}
    return figures


def draw(rows: Sequence[Row], bins: int, folder: Path) -> None:
    """Draw precision over recall of each map."""
    curves = {}
    for name, counts in counts_by_map(rows).items():
        recall, precision = recall_precision(np.sum(counts, axis=0))
        curves[name] = (recall.tolist(), precision.tolist())
    save_figure(precision_recall_figure(curves, 1.0), folder / "precision_recall.png")


def draw_worst(
    pictures: Sequence[Picture], rows: Sequence[Row], options: argparse.Namespace, folder: Path
) -> None:
    """Draw the pictures of lowest F of the last map, at the threshold that is best for all."""
    name, counts = list(counts_by_map(rows).items())[-1]
    best = int(f_measure(*recall_precision(np.sum(counts, axis=0))).argmax())

    def panel(place: int) -> RGBImage:
        maps, annotators = read_picture(pictures[place], options.nms == "own")
        return boundaries_panel(maps[name], annotators, thresholds_of(options.bins)[best])

    names, values = [row["name"] for row in rows], [row[f"{name} F"] for row in rows]
    save_worst(folder, names, values, options.panels, panel)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    parser.add_argument("--bench", type=Path, required=True, help="folder of BSDS500's form")
    parser.add_argument(
        "--count", type=int, default=10, help="photos to measure, 0 = all (default: %(default)s)"
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
    parser.add_argument("--backbone", default=DEFAULT_MODEL, help="name, folder or Hub id")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=0, help="working size, 0 = the model's own")
    parser.add_argument("--layers", default="", help="regular expression on layer names")
    parser.add_argument("--timesteps", type=int, nargs="+", default=PAPER_TIMESTEPS)
    parser.add_argument("--output_dir", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument("--workers", type=count, default=1, help="processes that measure")
    parser.add_argument("--panels", type=int, default=8, metavar="N", help="worst pictures to draw")
    parser.add_argument(
        "--allow_missing", action="store_true", help="go on without what is missing"
    )
    return parser.parse_args(argv)


@contextmanager
def folder_of(output_dir: Path | None) -> Iterator[Path]:
    """Give the folder, or one that vanishes."""
    if output_dir is not None:
        yield output_dir
        return
    with TemporaryDirectory(prefix="boundaries-") as place:
        yield Path(place)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; without --output_dir nothing is kept. 2 for wrong usage and problems."""
    options = parse(argv)
    with folder_of(options.output_dir) as output_dir:
        return exit_status(lambda: evaluate(options, output_dir))


if __name__ == "__main__":
    sys.exit(main())
