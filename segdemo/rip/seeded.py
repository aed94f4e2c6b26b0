"""Divide one mask among scribbles: the walk that joins fragments also tells whose a cell is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, Labels
from segdemo.rip.grid import Grid, with_nearest
from segdemo.rip.settings import ROBUST, RIPSettings
from segdemo.rip.walk import propagate, transition_matrix

SHORTEST_WALK = 64  # steps
STEP_VARIANCE = 5.45  # cells**2 along each axis, of one step of radius 5


def split_by_seeds(
    mask: npt.NDArray[np.bool_],
    seeds: Labels,
    edge: FloatMap,
    settings: RIPSettings = ROBUST,
) -> Labels:
    """Give every pixel of a mask (H, W) to the seed from which a random walk finds it soonest.

    seeds: (H, W) ints, 0 = none; seeds outside the mask are passed over. edge: (H, W) in [0, 1].
    Returns (H, W) with the seeds' numbers inside the mask and 0 elsewhere; what the walk cannot
    reach, behind closed edges, goes to the nearest seed's part. Raises InputError without two
    different seeds on the mask, or where sizes disagree.
    """
    if not mask.shape == seeds.shape == edge.shape:
        raise InputError("Mask, seeds and edge map differ in size: give them one size.")
    numbers = np.unique(seeds[mask & (seeds > 0)])
    if len(numbers) < 2:
        raise InputError("Mark at least two parts of the mask, each with a seed of its own.")
    (box,) = ndimage.find_objects(mask.astype(np.int32))
    inside, marks, walls = mask[box], seeds[box], edge[box]
    grid = Grid(inside.shape, settings.grid)
    coarse_mask = grid.share(inside) > 0
    coarse_edge = np.where(coarse_mask, grid.strongest(walls), 1).astype(np.float32)
    sources = np.stack([grid.share(inside & (marks == number)) > 0 for number in numbers])
    # a seed drawn on an edge must be able to leave it
    coarse_edge[sources.any(0)] = 0
    transition = transition_matrix(coarse_edge, settings.radius, settings.beta)
    start = sources.reshape(len(numbers), -1).T.astype(np.float32)
    # as long as a walk takes to forget its start: longer ones end anywhere, whoever began them
    across = max(coarse_mask.shape)
    steps = max(SHORTEST_WALK, round(2 * across**2 / (np.pi**2 * STEP_VARIANCE)))
    walked = propagate(transition, np.ascontiguousarray(start), steps).T
    # a large seed must not win by its size alone
    walked = walked / np.maximum(start.sum(0)[:, None], 1)
    owner = np.where(walked.max(0) > 1e-7, 1 + walked.argmax(0), 0).reshape(coarse_mask.shape)
    large = grid.repeat(with_nearest(owner))
    for index, number in enumerate(numbers, start=1):
        large[marks == number] = index
    result = np.zeros(mask.shape, np.int32)
    result[box] = np.where(inside, numbers[large - 1], 0)
    return result
