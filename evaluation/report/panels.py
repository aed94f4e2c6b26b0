"""Panels of the lowest-scoring images: what was right, what too much, what too little."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from evaluation.metrics.boundary import LARGEST_DISTANCE, BoolArray, match, thinned
from evaluation.metrics.instances import Instances, ious
from evaluation.report.plots import save_panel, verdict_panel
from segdemo.datatypes import FloatMap, RGBImage
from segdemo.images import SUFFIXES
from segdemo.panoptic_quality import Segments, matched_segments

HIT = 0.5  # IoU from which an object counts as found
GAP = 8  # grey columns between images that stand side by side


@dataclass(frozen=True)
class WorstPanels:
    """Which images to draw, and how.

    values: of each row, the lowest is drawn first; None is never drawn. panel: draws a row's.
    """

    values: Sequence[float | None]
    panel: Callable[[int], RGBImage]


def save_worst(folder: Path, names: Sequence[str], worst: WorstPanels, count: int) -> None:
    """Save the panels of the `count` lowest values, worst first, in place of an earlier run's."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    known = [(value, names[i], i) for i, value in enumerate(worst.values) if value is not None]
    for place, (_, name, index) in enumerate(sorted(known)[:count], start=1):
        safe = name.replace("/", "_").replace("\\", "_")
        safe = Path(safe).stem if Path(safe).suffix.lower() in SUFFIXES else safe
        save_panel(worst.panel(index), folder / f"{place:02d}_{safe}.png")


def instances_panel(truth: Instances, found: Instances) -> RGBImage:
    """Draw found objects white, false predictions vermilion, missed objects blue, (H, W, 3).

    Both need masks; an object is found from an IoU of one half. Crowds are never missed.
    """
    assert truth.rle is not None and found.rle is not None
    hits = ious(truth, found, "segm") >= HIT
    size = next(iter([*truth.rle, *found.rle]), {"size": (1, 1)})["size"]
    right, false, missed = (np.zeros(size, bool) for _ in range(3))
    for i, rle in enumerate(truth.rle):
        if not truth.crowd[i]:
            (right if hits[:, i].any() else missed)[mask_api.decode(dict(rle)) > 0] = True
    for i, rle in enumerate(found.rle):
        if not hits[i].any():
            false[mask_api.decode(dict(rle)) > 0] = True
    return verdict_panel(right, false, missed)


def segments_panel(truth: Segments, found: Segments) -> RGBImage:
    """Draw matched segments white, false ones vermilion, missed ones blue, void black."""
    pairs = matched_segments(truth, found)
    right = np.isin(truth.ids, [true for true, _ in pairs])
    listed = [i for i in truth.categories if i not in truth.crowd]
    false = np.isin(found.ids, list(found.categories))
    false &= ~np.isin(found.ids, [predicted for _, predicted in pairs])
    void = ~np.isin(truth.ids, listed)
    return verdict_panel(right, false & ~void, np.isin(truth.ids, listed) & ~right & ~false)


def boundaries_panel(edge: FloatMap, annotators: BoolArray, threshold: float) -> RGBImage:
    """Draw edges that an annotator has white, others vermilion, and what nobody found blue."""
    radius = LARGEST_DISTANCE * math.hypot(*edge.shape)
    predicted = np.argwhere(thinned(edge, threshold))
    right, false, missed = (np.zeros(edge.shape, bool) for _ in range(3))
    agreed = np.zeros(len(predicted), bool)
    for plane in annotators:
        truth = np.argwhere(plane)
        agreed[match(predicted, truth, radius)] = True
        found = np.zeros(len(truth), bool)
        found[match(truth, predicted, radius)] = True
        missed[tuple(truth[~found].T)] = True
    right[tuple(predicted[agreed].T)] = True
    false[tuple(predicted[~agreed].T)] = True
    return verdict_panel(right, false, missed & ~right & ~false)


def side_by_side(*images: RGBImage) -> RGBImage:
    """Put images of one height side by side."""
    gap = np.full((len(images[0]), GAP, 3), 128, np.uint8)
    parts: list[npt.NDArray[np.uint8]] = [images[0]]
    for image in images[1:]:
        parts += [gap, image]
    return np.hstack(parts)
