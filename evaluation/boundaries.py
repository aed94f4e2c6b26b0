"""Boundary quality of EdgeKL by the protocol of BSDS500: ODS, OIS, AP.

    python -m evaluation.boundaries --bench BENCH --count 10

BENCH holds `images/` and `boundaries/<stem>.npz` with `boundaries` (annotators, H, W/8), bits
packed along the last axis, and `width`. Traces each picture once and measures EdgeKL at the step
PeakKL chooses, at every step of the grid, and, as a control, plain grey-value gradients.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.morphology import thin
from tqdm import tqdm

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import FloatMap, InputError
from segdemo.diffegg.settings import PAPER_TIMESTEPS, TraceSettings
from segdemo.edge_files import gradient_edges
from segdemo.images import load_rgb

LARGEST_DISTANCE = 0.0075  # of the diagonal
UNMATCHED = 1000.0  # price of a pair too far apart, against distances of a few pixels

BoolArray = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BoundaryFigures:
    """ods: best F of summed counts. ois: F of every picture's best threshold. ap: area under PR."""

    ods: float
    ois: float
    ap: float


def boundary_counts(
    edge: FloatMap, annotators: BoolArray, thresholds: Sequence[float]
) -> npt.NDArray[np.int64]:
    """Count matches of one picture, (T, 4): truth matched, truth, predicted matched, predicted.

    edge: (H, W) in [0, 1]. annotators: (A, H, W). At each threshold the map is thinned and matched
    to every annotator one to one within 0.0075 of the diagonal; the truth is summed over
    annotators, and a predicted pixel counts as matched where any of them agrees.
    """
    radius = LARGEST_DISTANCE * math.hypot(*edge.shape)
    truths = [np.argwhere(truth) for truth in annotators]
    counts = []
    for threshold in thresholds:
        predicted = np.argwhere(thin(edge >= threshold))
        agreed = np.zeros(len(predicted), bool)
        recalled = 0
        for truth in truths:
            matched = match(predicted, truth, radius)
            recalled += len(matched)
            agreed[matched] = True
        counts.append((recalled, sum(map(len, truths)), agreed.sum(), len(predicted)))
    return np.array(counts, np.int64)


def match(
    predicted: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], radius: float
) -> npt.NDArray[np.int64]:
    """Return the indices of predicted points (n, 2) that pair with a true point of their own.

    Pairs are within `radius`; as many as possible, then as near as possible. Points that are within
    reach of one another form islands, and each island is solved for itself.
    """
    if not len(predicted) or not len(truth):
        return np.zeros(0, np.int64)
    near = cKDTree(predicted).sparse_distance_matrix(
        cKDTree(truth), radius, output_type="coo_matrix"
    )
    n, m = near.shape
    links = coo_array((np.ones(near.nnz), (near.row, n + near.col)), shape=(n + m, n + m))
    _, island = connected_components(links, directed=False)
    order = np.argsort(island[near.row], kind="stable")
    starts = np.flatnonzero(np.diff(island[near.row][order], prepend=-1))
    matched = []
    for pairs in np.split(order, starts[1:]):
        if not len(pairs):
            continue
        rows, row_of = np.unique(near.row[pairs], return_inverse=True)
        columns, column_of = np.unique(near.col[pairs], return_inverse=True)
        price = np.full((len(rows), len(columns)), UNMATCHED)
        price[row_of, column_of] = near.data[pairs]
        left, right = linear_sum_assignment(price)
        matched.append(rows[left[price[left, right] < UNMATCHED]])
    return np.concatenate(matched or [np.zeros(0, np.int64)]).astype(np.int64)


def boundary_figures(
    counts: Sequence[npt.NDArray[np.int64]], thresholds: Sequence[float]
) -> BoundaryFigures:
    """Summarise the counts of several pictures, each (T, 4)."""
    summed = np.sum(counts, axis=0)
    ods = _best_f(summed, thresholds)
    best = []
    for one in counts:
        recall, precision = _recall_precision(one)
        best.append(one[np.argmax(_f(recall, precision))])
    ois = float(_f(*_recall_precision(np.sum(best, axis=0)[None]))[0])
    recall, precision = _recall_precision(summed)
    order = np.argsort(recall)
    grid = np.arange(0, 1.005, 0.01)
    inside = (grid >= recall.min()) & (grid <= recall.max())
    area = np.interp(grid[inside], recall[order], precision[order]).sum() * 0.01
    return BoundaryFigures(ods, ois, float(area))


def _recall_precision(counts: npt.NDArray[np.int64]) -> tuple[Values, Values]:
    found, truth, right, predicted = counts.T
    return found / np.maximum(truth, 1), right / np.maximum(predicted, 1)


def _f(recall: Values, precision: Values) -> Values:
    return 2 * recall * precision / np.maximum(recall + precision, 1e-12)


def _best_f(counts: npt.NDArray[np.int64], thresholds: Sequence[float]) -> float:
    """Return the best F, recall and precision interpolated between neighbouring thresholds."""
    recall, precision = _recall_precision(counts)
    between = np.linspace(thresholds[0], thresholds[-1], 100 * (len(thresholds) - 1) + 1)
    return float(
        _f(np.interp(between, thresholds, recall), np.interp(between, thresholds, precision)).max()
    )


def suppress_non_maxima(edge: FloatMap) -> FloatMap:
    """Keep the ridges of an edge map: what is below a neighbour across the edge becomes zero."""
    smooth = ndimage.gaussian_filter(edge, 1.0)
    down, right = np.gradient(smooth)
    (dd, dr), (_, rr) = np.gradient(down), np.gradient(right)
    angle = 0.5 * np.arctan2(2 * dr, dd - rr)  # axis of strongest bend is one of two
    steep = (
        dd * np.cos(angle) ** 2 + 2 * dr * np.cos(angle) * np.sin(angle) + (rr * np.sin(angle) ** 2)
    )
    flat = (
        dd * np.sin(angle) ** 2 - 2 * dr * np.cos(angle) * np.sin(angle) + (rr * np.cos(angle) ** 2)
    )
    angle = np.where(np.abs(steep) >= np.abs(flat), angle, angle + np.pi / 2)
    rows, columns = np.indices(edge.shape)
    step = np.stack([np.cos(angle), np.sin(angle)])
    ahead, behind = (
        ndimage.map_coordinates(smooth, [rows + s * step[0], columns + s * step[1]], order=1)
        for s in (1, -1)
    )
    return np.where((smooth >= ahead) & (smooth >= behind), edge, 0).astype(np.float32)


def read_boundaries(file: Path) -> BoolArray:
    """Read the annotators' boundary maps, (A, H, W)."""
    with np.load(file) as archive:
        planes = np.unpackbits(archive["boundaries"], axis=-1)
        return planes[..., : int(archive["width"])].astype(bool)


def score_to_edges(score: FloatMap, size: tuple[int, int]) -> FloatMap:
    """Enlarge an EdgeKL score to (height, width) by cubic splines and scale it to [0, 1]."""
    zoom = (size[0] / score.shape[0], size[1] / score.shape[1])
    large = ndimage.zoom(np.sqrt(score), zoom, order=3, mode="nearest", grid_mode=True)
    return (large.clip(0) / max(float(large.max()), 1e-12)).astype(np.float32)


def measure(
    assistant: AnnotationAssistant, bench: Path, count: int, settings: TraceSettings, bins: int
) -> dict[str, BoundaryFigures]:
    """Measure gradients, EdgeKL at PeakKL's step and at each step, on the first `count` photos."""
    images = sorted((bench / "images").iterdir())[:count]
    if not images:
        raise InputError(f"{bench / 'images'} holds no pictures.")
    thresholds = [k / (bins + 1) for k in range(1, bins + 1)]
    counts: dict[str, list[npt.NDArray[np.int64]]] = {}
    for file in tqdm(images, file=sys.stderr):
        image = load_rgb(file)
        annotators = read_boundaries(bench / "boundaries" / f"{file.stem}.npz")
        *_, trace = assistant.trace(image, settings)
        maps = {"gradient": gradient_edges(image).probability}
        for name, step in [("PeakKL", trace.chosen), *((str(s.timestep), s) for s in trace.steps)]:
            maps[name] = score_to_edges(step.edge_score, image.shape[:2])
        for name, edges in maps.items():
            found = boundary_counts(suppress_non_maxima(edges), annotators, thresholds)
            counts.setdefault(name, []).append(found)
    return {name: boundary_figures(found, thresholds) for name, found in counts.items()}


def main(argv: list[str] | None = None) -> int:
    """Measure and print a table; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, required=True, help="folder of BSDS500's form")
    parser.add_argument("--count", type=int, default=10, help="photos to measure")
    parser.add_argument("--bins", type=int, default=33, help="thresholds; the protocol has 99")
    parser.add_argument("--backbone", default="small", help="name, folder or Hub id")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=0, help="working size, 0 = the model's own")
    parser.add_argument("--layers", default="", help="regular expression on layer names")
    parser.add_argument("--timesteps", type=int, nargs="+", default=PAPER_TIMESTEPS)
    options = parser.parse_args(argv)
    try:
        assistant = AnnotationAssistant(device=options.device, backbone=options.backbone)
        settings = TraceSettings(
            timesteps=tuple(options.timesteps), size=options.size, layers=options.layers
        )
        table = measure(assistant, options.bench, options.count, settings, options.bins)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for name, figures in table.items():
        print(json.dumps({"edges": name} | {k: round(v, 3) for k, v in vars(figures).items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
