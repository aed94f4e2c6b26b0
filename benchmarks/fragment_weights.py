"""Fit the weights by which region merging joins fragments (`segdemo.rip.fragments`).

    python -m benchmarks.fragment_weights --bench DIR --edges DIR

DIR holds `images` and `instances` of photographs that nothing is measured on, and the edge maps
that `segdemo edges` writes of them. Pairs of masks that touch come from the true masks and from the
same cut into fragments; a pair is positive if one object has both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.optimize import minimize

from evaluation.data.corruption import corrupt
from segdemo.datatypes import InstanceMasks
from segdemo.edge_files import read_edge_map
from segdemo.rip.fragments import find_pairs, image_score

IGNORED = 65_535  # label of what is not annotated
RIDGE = 1e-3  # on weights of standardized features

Values = npt.NDArray[np.float64]


class Sample(NamedTuple):
    """One image's pairs: features (K, 5), whether one object has both (K,), and its masks."""

    features: Values
    same: npt.NDArray[np.bool_]
    masks: int


class Weights(NamedTuple):
    """Of a logistic regression."""

    weights: Values
    bias: float


def samples(bench: Path, edges: Path) -> Iterator[Sample]:
    """Yield each image whole and cut into fragments."""
    for index, file in enumerate(sorted((bench / "instances").glob("*.png"))):
        labels = np.asarray(Image.open(file)).astype(np.int64)
        true = InstanceMasks.from_label_map(np.where(labels == IGNORED, 0, labels))
        if not len(true):
            continue
        edge = read_edge_map(edges / f"{file.stem}_edge.png", true.size).probability
        fragments = corrupt(true.masks, "fragment", np.random.default_rng([0, index]))
        for masks in (fragments, true.masks):
            pairs = find_pairs(InstanceMasks.unscored(masks).to_label_map().labels, edge)
            owners = np.array([int((true.masks & mask).sum((1, 2)).argmax()) for mask in masks])
            same = owners[pairs.first - 1] == owners[pairs.second - 1]
            yield Sample(pairs.features, same, len(masks))


def fit(features: Values, same: npt.NDArray[np.bool_]) -> Weights:
    """Fit a logistic regression of (K, n) features."""
    mean, spread = features.mean(0), features.std(0) + 1e-9
    columns = np.column_stack([(features - mean) / spread, np.ones(len(features))])

    def loss(weights: Values) -> float:
        scores = columns @ weights
        errors = np.logaddexp(0, np.where(same, -scores, scores)).mean()
        return float(errors + RIDGE * (weights[:-1] ** 2).sum())

    found = minimize(loss, np.zeros(columns.shape[1])).x
    weights = found[:-1] / spread
    return Weights(weights, float(found[-1] - (weights * mean).sum()))


def main(argv: Sequence[str] | None = None) -> None:
    """Fit and print both stages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bench", type=Path, required=True, metavar="DIR")
    parser.add_argument("--edges", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(argv)
    found = [one for one in samples(options.bench, options.edges) if len(one.same)]
    same = np.concatenate([one.same for one in found])
    pair = fit(np.concatenate([one.features for one in found]), same)
    stages = []
    for one in found:
        scores = one.features @ pair.weights + pair.bias
        level = np.full(len(scores), image_score(scores, one.masks))
        stages.append(np.column_stack([scores, level]))
    print(f"{len(found)} images, {len(same)} pairs, {same.sum()} of one object")
    for name, stage in (("pair", pair), ("image", fit(np.concatenate(stages), same))):
        print(f"{name}: {np.round(stage.weights, 2).tolist()}, bias {stage.bias:.2f}")


if __name__ == "__main__":
    main()
