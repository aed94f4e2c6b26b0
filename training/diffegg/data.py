"""Images with the edge scores of stage 1: paired, checked, cropped, flipped, labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from segdemo.datatypes import FloatMap, InputError, PseudoEdge, RGBImage
from segdemo.diffegg.pseudo_edge import pseudo_edge, split_score
from segdemo.files import find_images
from segdemo.images import image_size, load_rgb
from training.data_problems import DataProblem
from training.loop.sampling import BatchIndex
from training.stored_edges import TRUTH, read_edge

WHOLE = (0.0, 0.0, 1.0, 1.0)

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of the image."""


@dataclass(frozen=True)
class EdgePair:
    """An image and the file that `training.pseudo_edges` wrote for it.

    annotated: the file holds true edges, of people's annotations, in place of pseudo-edges.
    """

    image: Path
    score: Path
    annotated: bool = False


@dataclass(frozen=True, eq=False)
class StoredEdgeScore:
    """An EdgeKL score (h, w) float32 >= 0 at the map's resolution, and its two thresholds."""

    score: FloatMap
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class EdgeBatch:
    """images: (B, 3, S, S) float32 in [-1, 1]. labels: (B, S, S) int8, as in `PseudoEdge`."""

    images: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> EdgeBatch:
        """Return the batch on a device."""
        return EdgeBatch(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class FoundEdges:
    """Pairs in the order of their names, problems, and images without a score."""

    pairs: list[EdgePair]
    problems: list[DataProblem]
    without: int


def find_edge_pairs(images: Path, pseudo_edges: Path, rule: str = "") -> FoundEdges:
    """Match images below a folder with `<relative stem>.npz` below another, and open the files.

    Problems: unreadable images (their headers: stage 1 has read the rest), images of another
    size than stage 1 saw, invalid scores, scores without an image, and scores that
    leave no edge or no interior cell. Raises InputError where there is no pair at all.
    """
    for folder in (images, pseudo_edges):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: check the path.")
    named = {file.stem: file.path for file in find_images([images])}
    scores = {
        path.relative_to(pseudo_edges).with_suffix("").as_posix(): path
        for path in sorted(pseudo_edges.rglob("*.npz"))
    }
    problems = [
        DataProblem(scores[stem], f"has no image of that name below {images}.")
        for stem in sorted(scores.keys() - named)
    ]
    pairs = []
    for stem in sorted(scores.keys() & named):
        pair = EdgePair(named[stem], scores[stem])
        problem = _problem_of(pair, rule)
        if problem is None:
            pairs.append(replace(pair, annotated=read_edge(pair.score).rule == TRUTH))
        else:
            problems.append(problem)
    if not pairs and not problems:
        raise InputError(
            f"{pseudo_edges} has no .npz files: run python -m training.pseudo_edges first."
        )
    return FoundEdges(pairs, problems, len(named.keys() - scores))


def read_score(path: Path, rule: str = "") -> StoredEdgeScore:
    """Read a file of stage 1; raises InputError.

    rule: of `segdemo.diffegg.pseudo_edge`, to set the thresholds again; empty: as they were stored.
    """
    stored = read_edge(path)
    score = stored.score.astype(np.float32)
    if score.ndim != 2 or not score.size or not np.isfinite(score).all() or score.min() < 0:
        raise InputError(
            f"{path}: its score is not a map of numbers >= 0: delete it and run "
            "training.pseudo_edges again."
        )
    thresholds = pseudo_edge(score, rule) if rule else stored
    return StoredEdgeScore(score, thresholds.lower, thresholds.upper)


def crop_image(image: RGBImage, box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Return a part of an image squashed to (size, size, 3)."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    pixels = (left * width, top * height, right * width, bottom * height)
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=pixels)
    return np.asarray(resized)


def crop_labels(score: StoredEdgeScore, box: Box, size: int) -> npt.NDArray[np.int8]:
    """Return a part's labels at (size, size).

    The score is enlarged before the thresholds are applied, which were measured on its own grid:
    enlarged labels would have the staircase outline of the map's cells.
    """
    rows, columns = score.score.shape
    left, top, right, bottom = box
    cells = (left * columns, top * rows, right * columns, bottom * rows)
    image = Image.fromarray(score.score)
    enlarged = image.resize((size, size), Image.Resampling.BILINEAR, box=cells)
    return split_score(np.asarray(enlarged), score.lower, score.upper).labels


def to_batch(
    images: Sequence[npt.NDArray[np.uint8]], labels: Sequence[npt.NDArray[np.int8]]
) -> EdgeBatch:
    """Stack images (S, S, 3) and labels (S, S) of one size."""
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return EdgeBatch(stacked.float() / 127.5 - 1, torch.from_numpy(np.stack(labels)))


@dataclass(frozen=True)
class EdgeBatches:
    """Makes batches of randomly cropped images with labels, half of them mirrored.

    size: side in pixels. smallest_crop: least share of the sides that a crop keeps; 1: no crops.
    rule: see `read_score`. Labels are mirrored with the image, though EdgeKL of a mirrored image
    would differ a little: KL is not symmetric.
    """

    pairs: list[EdgePair]
    size: int
    batch_size: int
    smallest_crop: float = 0.5
    rule: str = ""

    def __call__(self, index: BatchIndex) -> EdgeBatch:
        """Make a batch."""
        rng = index.rng
        images, labels = [], []
        for item in index.items(len(self.pairs), self.batch_size):
            pair = self.pairs[item]
            box = random_box(rng, self.smallest_crop)
            image = crop_image(load_rgb(pair.image), box, self.size)
            label = crop_labels(read_score(pair.score, self.rule), box, self.size)
            turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
            images.append(image[:, turn])
            labels.append(label[:, turn])
        return to_batch(images, labels)

    def whole(self, pair: EdgePair) -> EdgeBatch:
        """Return one whole pair as a batch of one."""
        image = crop_image(load_rgb(pair.image), WHOLE, self.size)
        return to_batch([image], [crop_labels(read_score(pair.score, self.rule), WHOLE, self.size)])


def random_box(rng: np.random.Generator, smallest: float) -> Box:
    """Choose a crop: both sides the same share of its own, from `smallest` to 1."""
    share = float(rng.uniform(smallest, 1))
    left, top = rng.uniform(0, 1 - share, 2)
    return (float(left), float(top), float(left) + share, float(top) + share)


def _problem_of(pair: EdgePair, rule: str) -> DataProblem | None:
    try:
        height, width = image_size(pair.image)
    except InputError as error:
        return DataProblem(pair.image, str(error).removeprefix(f"{pair.image.name} "))
    try:
        score = read_score(pair.score, rule)
        seen = read_edge(pair.score).picture_size
    except InputError as error:
        return DataProblem(pair.score, str(error).removeprefix(str(pair.score)).lstrip(": "))
    if seen != (height, width):
        return DataProblem(
            pair.score,
            f"is of an image of {seen[1]} x {seen[0]} pixels, {pair.image.name} has {width} x "
            f"{height}: delete it and run training.pseudo_edges again.",
        )
    present = np.unique(split_score(score.score, score.lower, score.upper).labels)
    for label, name in ((PseudoEdge.EDGE, "edge"), (PseudoEdge.INTERIOR, "interior")):
        if label not in present:
            return DataProblem(pair.score, f"has no {name} cell: nothing can be learned from it.")
    return None
