"""Scenes of touching blobs with exact instances, their edges, and masks damaged in known ways."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

SIDE = 256


def make_scene(seed: int, side: int = SIDE) -> np.ndarray:
    """Return labels (side, side): 3 to 7 blobs, three in four touching another."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    placed: list[tuple[float, float, float]] = []
    for number in range(1, int(rng.integers(3, 8)) + 1):
        radius = rng.uniform(0.07, 0.2) * side
        if placed and rng.random() < 0.75:
            y, x, other = placed[rng.integers(len(placed))]
            angle, apart = rng.uniform(0, 2 * np.pi), (other + radius) * rng.uniform(0.55, 0.95)
            y, x = y + apart * np.sin(angle), x + apart * np.cos(angle)
        else:
            y, x = rng.uniform(0.1, 0.9, 2) * side
        labels[_blob(side, y, x, radius, rng)] = number
        placed.append((y, x, radius))
    return _whole_and_large(labels)


def make_necked_scene(seed: int, side: int = SIDE) -> np.ndarray:
    """Return labels (side, side): 2 to 4 instances of two or three blobs each, joined by bars."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    rows, columns = np.mgrid[:side, :side] + 0.5
    for number in range(1, int(rng.integers(2, 5)) + 1):
        y, x = rng.uniform(0.15, 0.85, 2) * side
        radius = rng.uniform(0.06, 0.11) * side
        labels[_blob(side, y, x, radius, rng)] = number
        for _ in range(int(rng.integers(1, 3))):
            other, angle = rng.uniform(0.06, 0.11) * side, rng.uniform(0, 2 * np.pi)
            apart = (radius + other) * rng.uniform(1.05, 1.5)
            dy, dx, half_width = np.sin(angle), np.cos(angle), rng.uniform(5, 10)
            along = np.clip((rows - y) * dy + (columns - x) * dx, 0, apart)
            labels[np.hypot(rows - y - along * dy, columns - x - along * dx) < half_width] = number
            y, x, radius = y + apart * dy, x + apart * dx, other
            labels[_blob(side, y, x, radius, rng)] = number
    return _whole_and_large(labels)


def _blob(side: int, y: float, x: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] + 0.5
    angle = np.arctan2(rows - y, columns - x)
    flat, turn = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    reach = radius / np.sqrt(np.cos(angle - turn) ** 2 + np.sin(angle - turn) ** 2 / flat**2)
    for k in range(2, 6):
        reach = reach * (1 + rng.normal(0, 0.1 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)))
    return np.hypot(rows - y, columns - x) < reach


def _whole_and_large(labels: np.ndarray) -> np.ndarray:
    """Keep each instance's largest part, where that is not tiny."""
    kept = np.zeros_like(labels)
    for label in np.unique(labels)[1:]:
        parts, count = ndimage.label(labels == label)
        areas = ndimage.sum(parts > 0, parts, range(1, count + 1))
        part = parts == 1 + int(np.argmax(areas))
        if part.sum() >= 0.003 * labels.size:
            kept[part] = kept.max() + 1
    return kept


def true_edges(labels: np.ndarray) -> np.ndarray:
    """Return the edges between labels, two pixels wide."""
    edge = np.zeros(labels.shape, bool)
    below, beside = labels[:-1] != labels[1:], labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= below
    edge[1:] |= below
    edge[:, :-1] |= beside
    edge[:, 1:] |= beside
    return edge.astype(np.float32)


def with_gaps(edge: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Erase discs of 8 pixels on the edge until a share of it is gone."""
    edge, pixels = edge.copy(), np.argwhere(edge > 0)
    rows, columns = np.indices(edge.shape)
    while (edge > 0).sum() > (1 - share) * len(pixels):
        y, x = pixels[rng.integers(len(pixels))]
        edge[np.hypot(rows - y, columns - x) < 4] = 0
    return edge


def instances(labels: np.ndarray) -> np.ndarray:
    """Return the masks of a label map, (N, H, W)."""
    return labels == np.arange(1, labels.max() + 1)[:, None, None]


def merged(labels: np.ndarray) -> np.ndarray:
    """Problem A: every cluster of touching instances is one mask."""
    clusters, count = ndimage.label(labels > 0)
    return clusters == np.arange(1, count + 1)[:, None, None]


def fragmented(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Problem B: every mask is cut into two to four pieces with a gap between them."""
    pieces = []
    rows, columns = np.indices(masks.shape[1:])
    for mask in masks:
        inside = np.argwhere(mask)
        centres = inside[rng.choice(len(inside), int(rng.integers(2, 5)), replace=False)]
        apart = (rows[..., None] - centres[:, 0]) ** 2 + (columns[..., None] - centres[:, 1]) ** 2
        nearest = apart.argmin(-1)
        for piece in range(len(centres)):
            own = mask & (nearest == piece)
            own &= ~ndimage.binary_dilation(mask & ~own)
            if own.sum() > 30:
                pieces.append(own)
    return np.array(pieces)


def with_noise(edge: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add the size of normal noise to every pixel, up to 1."""
    noisy: np.ndarray = np.clip(edge + np.abs(rng.normal(0, level, edge.shape)), 0, 1)
    return noisy.astype(np.float32)


def average_precision(
    truths: Sequence[np.ndarray], found: Sequence[np.ndarray], scores: Sequence[np.ndarray]
) -> float:
    """Return the class-agnostic mask AP in percent, by pycocotools."""
    images, results = [], []
    annotations: list[dict[str, object]] = []
    for number, (truth, masks, values) in enumerate(
        zip(truths, found, scores, strict=True), start=1
    ):
        images.append({"id": number, "height": truth.shape[1], "width": truth.shape[2]})
        for mask in truth:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": float(mask.sum()),
                    "segmentation": _encoded(mask),
                }
            )
        for mask, value in zip(masks, values, strict=True):
            results.append(
                {
                    "image_id": number,
                    "category_id": 1,
                    "score": float(value),
                    "segmentation": _encoded(mask),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set = COCO()
        truth_set.dataset = {
            "info": {},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "thing"}],
        }
        truth_set.createIndex()
        evaluation = COCOeval(truth_set, truth_set.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])


def _encoded(mask: np.ndarray) -> dict[str, object]:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
