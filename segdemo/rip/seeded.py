"""Divide one mask among seeds by the random walk of `walk`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError
from segdemo.rip.grid import BoolMask, Grid, LabelImage
from segdemo.rip.nearest import fill_with_nearest, join_islands
from segdemo.rip.settings import ROBUST, WalkSettings
from segdemo.rip.transition import apply_power, transition_matrix

MIN_STEPS = 64
STEP_VARIANCE = 5.45  # cells**2 along each axis, of one step of radius 5


def split_by_seeds(
    mask: BoolMask, seeds: LabelImage, edge: FloatMap, settings: WalkSettings = ROBUST
) -> LabelImage:
    """Give every pixel of a mask (H, W) to the seed from which a random walk is likeliest there.

    seeds: (H, W) ints, 0 = none; seeds outside the mask are ignored. edge: (H, W) in [0, 1].
    Returns (H, W) with the seeds' numbers inside the mask and 0 elsewhere; what the walk cannot
    reach, behind closed edges, and islands inside another part go to the nearest seed's part.
    Raises InputError without two different seeds on the mask, or where sizes disagree.
    """
    if not mask.shape == seeds.shape == edge.shape:
        raise InputError("Mask, seeds and edge map differ in size: give them one size.")
    numbers = np.unique(seeds[mask & (seeds > 0)])
    if len(numbers) < 2:
        raise InputError("Mark at least two parts of the mask, each with a seed of its own.")
    (box,) = ndimage.find_objects(mask.astype(np.int32))
    inside, marks = mask[box], seeds[box]
    grid = Grid(inside.shape, settings.grid)
    cells = grid.touched(inside)  # (h, w)
    sources = np.stack([grid.touched(inside & (marks == number)) for number in numbers])
    barriers = np.where(cells, grid.max_pool(edge[box]), 1).astype(np.float32)
    barriers[sources.any(0)] = 0  # a seed drawn on an edge must be able to leave it
    owner = _likeliest_seed(sources, barriers, _steps(cells.shape), settings)
    large = grid.upsample(fill_with_nearest(owner))
    for index, number in enumerate(numbers, start=1):
        large[marks == number] = index
    parts = np.where(inside, numbers[large - 1], 0)
    result = np.zeros(mask.shape, np.int32)
    result[box] = np.where(inside, join_islands(parts, np.where(inside, marks, 0)), 0)
    return result


def _likeliest_seed(
    sources: npt.NDArray[np.bool_], barriers: FloatMap, steps: int, settings: WalkSettings
) -> npt.NDArray[np.int64]:
    """Return the seed of the largest share of each cell (h, w), from 1 on; 0 where none arrives."""
    transition = transition_matrix(barriers, settings.radius, settings.beta)  # (h*w, h*w)
    start = sources.reshape(len(sources), -1).T.astype(np.float32)  # (h*w, S)
    walked = apply_power(transition, np.ascontiguousarray(start), steps).T  # (S, h*w)
    walked = walked / np.maximum(start.sum(0)[:, None], 1)  # a large seed must not win by its size
    return np.where(walked.max(0) > 1e-7, 1 + walked.argmax(0), 0).reshape(barriers.shape)


def _steps(shape: tuple[int, ...]) -> int:
    """Return how long a walk takes to cross: longer ones end anywhere, whichever seed they left."""
    return max(MIN_STEPS, round(2 * max(shape) ** 2 / (np.pi**2 * STEP_VARIANCE)))
