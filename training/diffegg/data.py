"""Pictures with the edge scores of stage 1: paired, checked, cropped, flipped, labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from segdemo.datatypes import FloatMap, InputError, PseudoEdge, RGBImage
from segdemo.diffegg.pseudo_edge import pseudo_edge, split_score
from segdemo.files import find_images
from segdemo.images import image_size, load_rgb
from training.data_problems import Problem
from training.loop.sampling import Draw
from training.stored_edges import read_edge

WHOLE = (0.0, 0.0, 1.0, 1.0)

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of the picture."""


@dataclass(frozen=True)
class EdgePair:
    """A picture and the file that `training.pseudo_edges` wrote for it."""

    picture: Path
    score: Path


@dataclass(frozen=True, eq=False)
class EdgeScore:
    """An EdgeKL score (h, w) float32 >= 0 at the map's resolution, and its two thresholds."""

    score: FloatMap
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class EdgeBatch:
    """pictures: (B, 3, S, S) float32 in [-1, 1]. labels: (B, S, S) int8, as in `PseudoEdge`."""

    pictures: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> EdgeBatch:
        """Return the batch on a device."""
        return EdgeBatch(self.pictures.to(device), self.labels.to(device))


@dataclass(frozen=True)
class FoundEdges:
    """Pairs in the order of their names, problems, and pictures that stage 1 has not seen."""

    pairs: list[EdgePair]
    problems: list[Problem]
    without: int


def find_edge_pairs(pictures: Path, pseudo_edges: Path, rule: str = "") -> FoundEdges:
    """Match pictures below a folder with `<relative stem>.npz` below another, and open the files.

    Problems: unreadable pictures (their headers: stage 1 has read the rest), pictures of another
    size than stage 1 saw, scores that are no scores, scores without a picture, and scores that
    leave no edge or no interior cell. Raises InputError where there is no pair at all.
    """
    for folder in (pictures, pseudo_edges):
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: check the path.")
    named = {file.stem: file.path for file in find_images([pictures])}
    scores = {
        path.relative_to(pseudo_edges).with_suffix("").as_posix(): path
        for path in sorted(pseudo_edges.rglob("*.npz"))
    }
    problems = [
        Problem(scores[stem], f"has no picture of its name below {pictures}.")
        for stem in sorted(scores.keys() - named)
    ]
    pairs = []
    for stem in sorted(scores.keys() & named):
        pair = EdgePair(named[stem], scores[stem])
        problem = _problem_of(pair, rule)
        if problem is None:
            pairs.append(pair)
        else:
            problems.append(problem)
    if not pairs and not problems:
        raise InputError(
            f"{pseudo_edges} has no .npz files: run python -m training.pseudo_edges first."
        )
    return FoundEdges(pairs, problems, len(named.keys() - scores))


def read_score(path: Path, rule: str = "") -> EdgeScore:
    """Read a file of stage 1; raises InputError.

    rule: of `segdemo.diffegg.pseudo_edge`, to set the thresholds anew; empty: as they were stored.
    """
    stored = read_edge(path)
    score = stored.score.astype(np.float32)
    if score.ndim != 2 or not score.size or not np.isfinite(score).all() or score.min() < 0:
        raise InputError(
            f"{path}: its score is no map of numbers >= 0: delete it and run training.pseudo_edges "
            "again."
        )
    thresholds = pseudo_edge(score, rule) if rule else stored
    return EdgeScore(score, thresholds.lower, thresholds.upper)


def cut_picture(image: RGBImage, box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Return a part of a picture squashed to (size, size, 3)."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    pixels = (left * width, top * height, right * width, bottom * height)
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=pixels)
    return np.asarray(resized)


def cut_labels(score: EdgeScore, box: Box, size: int) -> npt.NDArray[np.int8]:
    """Return a part's labels at (size, size).

    The score is enlarged before the thresholds are applied, which were measured on its own grid:
    labels enlarged would be stairs of the map's cells.
    """
    rows, columns = score.score.shape
    left, top, right, bottom = box
    cells = (left * columns, top * rows, right * columns, bottom * rows)
    picture = Image.fromarray(score.score)
    enlarged = picture.resize((size, size), Image.Resampling.BILINEAR, box=cells)
    return split_score(np.asarray(enlarged), score.lower, score.upper).labels


def to_batch(
    pictures: Sequence[npt.NDArray[np.uint8]], labels: Sequence[npt.NDArray[np.int8]]
) -> EdgeBatch:
    """Stack pictures (S, S, 3) and labels (S, S) of one size."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return EdgeBatch(stacked.float() / 127.5 - 1, torch.from_numpy(np.stack(labels)))


@dataclass(frozen=True)
class EdgeBatches:
    """Makes batches of drawn pairs, each a random part of its picture, half of them mirrored.

    size: side in pixels. smallest_crop: shortest share of the sides that a part has; 1: the whole.
    rule: see `read_score`. What is known of mirrored EdgeKL, whose KL has an order, is mirrored
    along.
    """

    pairs: list[EdgePair]
    size: int
    batch_size: int
    smallest_crop: float = 0.5
    rule: str = ""

    def __call__(self, draw: Draw) -> EdgeBatch:
        """Make the batch of a draw."""
        rng = draw.rng
        pictures, labels = [], []
        for index in draw.items(len(self.pairs), self.batch_size):
            pair = self.pairs[index]
            box = draw_box(rng, self.smallest_crop)
            picture = cut_picture(load_rgb(pair.picture), box, self.size)
            label = cut_labels(read_score(pair.score, self.rule), box, self.size)
            turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
            pictures.append(picture[:, turn])
            labels.append(label[:, turn])
        return to_batch(pictures, labels)

    def whole(self, pair: EdgePair) -> EdgeBatch:
        """Return one pair as it is, uncropped, as a batch of one."""
        picture = cut_picture(load_rgb(pair.picture), WHOLE, self.size)
        return to_batch(
            [picture], [cut_labels(read_score(pair.score, self.rule), WHOLE, self.size)]
        )


def draw_box(rng: np.random.Generator, smallest: float) -> Box:
    """Draw a part of a picture: both sides the same share of its own, from `smallest` to 1."""
    share = float(rng.uniform(smallest, 1))
    left, top = rng.uniform(0, 1 - share, 2)
    return (float(left), float(top), float(left) + share, float(top) + share)


def hold_out(pairs: list[EdgePair], count: int, seed: int) -> tuple[list[EdgePair], list[EdgePair]]:
    """Split pairs into those to train on and `count` drawn ones; raises InputError for too many."""
    if count >= len(pairs):
        raise InputError(
            f"--validation_count {count} of {len(pairs)} pictures leaves none to train on."
        )
    held = set(np.random.default_rng([seed, 4]).permutation(len(pairs))[:count].tolist())
    kept = [pair for index, pair in enumerate(pairs) if index not in held]
    return kept, [pairs[index] for index in sorted(held)]


def _problem_of(pair: EdgePair, rule: str) -> Problem | None:
    try:
        height, width = image_size(pair.picture)
    except InputError as error:
        return Problem(pair.picture, str(error).removeprefix(f"{pair.picture.name} "))
    try:
        score = read_score(pair.score, rule)
        seen = read_edge(pair.score).picture_size
    except InputError as error:
        return Problem(pair.score, str(error).removeprefix(str(pair.score)).lstrip(": "))
    if seen != (height, width):
        return Problem(
            pair.score,
            f"is of a picture of {seen[1]} x {seen[0]} pixels, {pair.picture.name} has {width} x "
            f"{height}: delete it and run training.pseudo_edges again.",
        )
    present = np.unique(split_score(score.score, score.lower, score.upper).labels)
    for label, name in ((PseudoEdge.EDGE, "edge"), (PseudoEdge.INTERIOR, "interior")):
        if label not in present:
            return Problem(pair.score, f"has no {name} cell: nothing can be learnt from it.")
    return None
