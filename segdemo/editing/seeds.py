"""Divide instances among scribbles, or make instances of them; number what results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segdemo.datatypes import MAX_INSTANCES, FloatMap, InputError, Labels
from segdemo.editing.strokes import Point, stroke_mask
from segdemo.rip.absorbing import first_seed
from segdemo.rip.points import divide_among_seeds
from segdemo.rip.seeded import split_by_seeds
from segdemo.rip.settings import ROBUST


def split_among_seeds(
    labels: Labels,
    numbers: Sequence[int],
    strokes: Sequence[Sequence[Point]],
    radius: float,
    edge: FloatMap | None = None,
    highest: int = 0,
) -> Labels:
    """Divide instances among scribbles by the random walk that RIP uses.

    numbers: the instances; of several, fragments that no scribble touches go to one that the walk
    finds likeliest, and narrow gaps between them to the parts beside (`divide_among_seeds`).
    strokes: one path for each seed, drawn `radius` pixels wide; they need not be closed or
    complete. edge: (H, W), none where there is no edge map. A part keeps the number of the instance
    that it has most of, unless a larger part has it; the others get new ones, see `new_ids`. Raises
    InputError without two seeds on one instance, or without any on several.
    """
    seeds = np.zeros(labels.shape, np.int32)
    for index, stroke in enumerate(strokes, start=1):
        seeds[stroke_mask((labels.shape[0], labels.shape[1]), stroke, radius)] = index
    chosen = np.isin(labels, numbers)
    barriers = np.zeros(labels.shape, np.float32) if edge is None else edge
    if len(numbers) == 1:
        owner = split_by_seeds(chosen, seeds, barriers)
    else:
        inputs = np.where(chosen, labels, 0).astype(np.int32)
        owner = divide_among_seeds(inputs, seeds, barriers, ROBUST)
        owner[~chosen & (labels > 0)] = 0  # a gap that is another instance's
    areas = np.bincount(owner.ravel())
    areas[0] = 0
    result, parts = np.where(chosen, 0, labels), []
    for seed in sorted(np.flatnonzero(areas), key=lambda seed: -areas[seed]):
        mask = owner == seed
        shares = np.bincount(labels[mask], minlength=max(numbers) + 1)
        shares[np.setdiff1d(np.arange(len(shares)), numbers)] = 0
        shares[np.unique(result[chosen])] = 0  # a larger part's
        if shares.any():
            result[mask] = shares.argmax()
        else:
            parts.append(mask)
    for new, mask in zip(new_ids(labels, len(parts), highest), parts, strict=True):
        result[mask] = new
    return result


def instances_of_seeds(
    labels: Labels,
    strokes: Sequence[Sequence[Point]],
    background: Sequence[bool],
    radius: float,
    edge: FloatMap,
    highest: int = 0,
) -> Labels:
    """Make an instance of each scribble on what is free, by the random walk to the first seed.

    strokes, radius: as in `split_among_seeds`; background: whether a stroke marks what is no
    object. Without such a stroke the image's border counts as background. edge: (H, W). Other
    instances keep their pixels. Raises InputError without a stroke on free ground.
    """
    height, width = labels.shape
    free = labels == 0
    none = len(strokes) + 1
    seeds = np.zeros(labels.shape, np.int32)
    if not any(background):
        seeds[[0, -1]] = seeds[:, [0, -1]] = none
    for index, (stroke, is_background) in enumerate(zip(strokes, background, strict=True), start=1):
        seeds[stroke_mask((height, width), stroke, radius)] = none if is_background else index
    seeds[~free] = 0
    objects = [int(number) for number in np.unique(seeds) if 0 < number < none]
    if not objects:
        raise InputError("Draw a stroke in each object, on ground that no instance has.")
    owner = first_seed(free, seeds, edge)
    result = labels.copy()
    for new, seed in zip(new_ids(labels, len(objects), highest), objects, strict=True):
        result[owner == seed] = new
    return result


def new_ids(labels: Labels, count: int, highest: int = 0) -> list[int]:
    """Return `count` numbers for new instances, as the browser's `newId` chooses them.

    They come above all numbers ever used, so that an undo cannot meet them, and once these are
    exhausted from the lowest without a pixel. highest: the highest number ever used, where it is
    above those of `labels`. Raises InputError when all are in use.
    """
    first = 1 + max(highest, int(labels.max(initial=0)))
    ids = list(range(first, min(first + count, MAX_INSTANCES + 1)))
    if len(ids) < count:
        free = np.setdiff1d(np.arange(1, MAX_INSTANCES + 1), [*np.unique(labels), *ids])
        ids += free[: count - len(ids)].tolist()
    if len(ids) < count:
        raise InputError(
            f"All {MAX_INSTANCES} numbers are in use: merge or delete instances first."
        )
    return ids
