"""Which masks are fragments of one object: how likely it is for each pair that touches.

Two stages of logistic regression. Of a pair count the edge along the common border and along the
rest of both outlines, both sizes, and how convex the two are together. Of the image counts how
probable its most probable pairs are: a method that leaves fragments does so everywhere, and masks
among which few pairs look like fragments are most often objects that touch. Not from the paper,
which merges what its walk makes overlap (`iou_merging`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull
from scipy.special import expit

from segdemo.datatypes import FloatMap
from segdemo.rip.grid import Grid, LabelImage
from segdemo.rip.hierarchy import NEUTRAL_SIZE, Ints, find_borders

REACH = 2  # cells that masks grow to touch: fragments lie a little apart
GRID = 1024  # longer side in cells: borders are measured at the scale that the weights suit
BORDER_WINDOW, OUTLINE_WINDOW = 3, 7  # cells; outlines of masks run beside the edges
MIN_OUTLINE = 0.05  # mean edge strength: weaker outlines say that the edge map knows neither mask
LIMIT = 4.0  # of a pair's log-odds in its image's mean

Values = npt.NDArray[np.float64]

# Fitted by benchmarks.fragment_weights on photographs with true instances
PAIR_WEIGHTS = np.array([-7.76, 5.98, 0.68, -0.85, 1.7])
"""Of the strength of the common border and of the outlines, the logarithms of the smaller and of
the larger mask's size, and the share of their convex hull that the two fill."""
PAIR_BIAS = -0.95
IMAGE_WEIGHTS = np.array([1.0, 0.89])
"""Of the pair's log-odds, and its image's (`image_score`)."""
IMAGE_BIAS = -1.18


@dataclass(frozen=True, eq=False)
class Pairs:
    """Masks that touch: labels first < second (K,), and a row of features for each (K, 5)."""

    first: Ints
    second: Ints
    features: Values


@dataclass(frozen=True, eq=False)
class Joined:
    """A group's number for each mask (N,), from 0 on; and each group's confidence in [0, 1]."""

    groups: Ints
    confidence: Values


def join_fragments(labels: LabelImage, owners: Ints, edge: FloatMap, probability: float) -> Joined:
    """Join masks that are fragments of one object with at least a probability.

    labels: (H, W), mask k - 1 has label k. owners: (N,) input of each mask; masks of one input
    stay apart. edge: (H, W) in [0, 1]. A group's confidence is that of its least probable join,
    times that it is not a fragment of a neighbour.
    """
    count = len(owners)
    pairs = find_pairs(labels, edge) if count and probability < 1 else None
    if pairs is None or not len(pairs.first):
        return Joined(np.arange(count), np.ones(count))
    likely = probabilities(pairs, count)
    one, other = pairs.first - 1, pairs.second - 1
    likely[owners[one] == owners[other]] = 0
    joined = likely >= probability
    links = coo_array((np.ones(joined.sum()), (one[joined], other[joined])), [count] * 2)
    groups: Ints = connected_components(links, directed=False)[1].astype(np.int64)
    inner, outer = np.ones(count), np.zeros(count)
    np.minimum.at(inner, groups[one[joined]], likely[joined])
    apart = groups[one] != groups[other]
    for side in (one, other):
        np.maximum.at(outer, groups[side[apart]], likely[apart])
    return Joined(groups, (inner * (1 - outer))[: groups.max() + 1])


def probabilities(pairs: Pairs, count: int) -> Values:
    """Return how probably each pair is fragments of one object, (K,). count: masks of the image."""
    scores = pairs.features @ PAIR_WEIGHTS + PAIR_BIAS
    stage = np.stack([scores, np.full(len(scores), image_score(scores, count))], 1)
    likely = expit(stage @ IMAGE_WEIGHTS + IMAGE_BIAS)
    return np.where(pairs.features[:, 1] < MIN_OUTLINE, 0, likely)


def image_score(scores: Values, count: int) -> float:
    """Return the mean of an image's highest pair scores, half as many as it has masks."""
    return float(np.sort(scores.clip(-LIMIT, LIMIT))[::-1][: max(1, count // 2)].mean())


def find_pairs(labels: LabelImage, edge: FloatMap) -> Pairs:
    """Measure the masks (labels from 1 on) that touch in (H, W)."""
    grid = Grid(edge.shape, GRID)
    middle = grid.factor // 2
    cells = labels[middle :: grid.factor, middle :: grid.factor]  # (h, w)
    strength = grid.max_pool(edge)[: cells.shape[0], : cells.shape[1]]
    grown = expand(cells)
    borders = find_borders(grown, ndimage.maximum_filter(strength, BORDER_WINDOW))
    outlines = ndimage.maximum_filter(strength, OUTLINE_WINDOW)
    shared = find_borders(grown, outlines)
    sums, lengths = _outlines(grown, outlines)
    areas = np.bincount(cells.ravel(), minlength=len(sums)).astype(np.float64)
    one, other = borders.first, borders.second
    rest = [
        (sums[side] - shared.sums) / np.maximum(lengths[side] - shared.lengths, 1)
        for side in (one, other)
    ]
    sizes = np.sort(np.stack([areas[one], areas[other]]), 0) / (NEUTRAL_SIZE * cells.size)
    features = [
        borders.sums / np.maximum(borders.lengths, 1),
        np.mean(rest, axis=0),
        *np.log(np.maximum(sizes, 1e-9)),
        _convexities(cells, one, other, areas),
    ]
    return Pairs(one, other, np.stack(features, 1))


def expand(labels: LabelImage) -> LabelImage:
    """Let labels (H, W) grow by `REACH` pixels into the background.

    Two dilations: skimage.segmentation.expand_labels takes 20 times as long on a large image.
    """
    for _ in range(REACH):
        padded = np.pad(labels, 1)
        grown = labels
        for beside in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
            grown = np.where(grown == 0, beside, grown)
        labels = grown
    return labels


def _outlines(labels: LabelImage, edge: FloatMap) -> tuple[Values, Values]:
    """Return the sum of the edge along each label's outline and its length, 0's included."""
    count = int(labels.max(initial=0)) + 1
    sums, lengths = np.zeros(count), np.zeros(count)
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differ = labels[here] != labels[there]
        strength = np.maximum(edge[here], edge[there])[differ]
        for side in (labels[here][differ], labels[there][differ]):
            sums += np.bincount(side, strength, minlength=count)
            lengths += np.bincount(side, minlength=count)
    return sums, lengths


def _convexities(labels: LabelImage, one: Ints, other: Ints, areas: Values) -> Values:
    """Return how much of the convex hull of each pair of labels the two fill, in (0, 1]."""
    corners = {label: _corners(labels, label) for label in np.unique([one, other]).tolist()}
    hulls = [
        _hull_area(np.concatenate([corners[i], corners[j]]))
        for i, j in zip(one.tolist(), other.tolist(), strict=True)
    ]
    return np.minimum((areas[one] + areas[other]) / np.maximum(hulls, 1), 1)


def _corners(labels: LabelImage, label: int) -> Values:
    """Return corners of a label's cells that its convex hull is that of, (n, 2)."""
    rows, columns = np.nonzero(labels == label)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    ends = np.append(starts[1:], len(rows)) - 1
    left, right, row = columns[starts], columns[ends] + 1, rows[starts]
    points = [(row, left), (row + 1, left), (row, right), (row + 1, right)]
    return np.concatenate([np.stack(point, 1) for point in points]).astype(np.float64)


def _hull_area(points: Values) -> float:
    return float(ConvexHull(points).volume)
