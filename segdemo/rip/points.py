"""RIP with a point on each object: masks are divided among points by the walk.

DiffEGG's Table 4 adds point annotations to its edges and does not say how; here the points are
seeds of the walk. A mask with one point is that object's, one with several is divided among them
along the edges (`split_by_seeds`). A mask without a point is a fragment of the object from whose
point a walk is likeliest there, through the masks that touch it or lie beside it on the grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, Points
from segdemo.rip.grid import Grid, LabelImage
from segdemo.rip.inputs import InputMasks
from segdemo.rip.refinement import Refinement
from segdemo.rip.seeded import split_by_seeds
from segdemo.rip.settings import WalkSettings

UNMARKED = 0.5  # of its score keeps a mask in a region without a point: every object has one
MIN_SHARE = 0.05  # of an input or of its region, of which an instance with less does not come
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def snap_to_masks(
    points: Points, masks: InputMasks, settings: WalkSettings
) -> npt.NDArray[np.int64]:
    """Return the nearest mask pixel of each point, (P, 2) row and column; -1 for one too far away.

    As far as mask pixels on edges may be from their instance: `WalkSettings.fill` cells.
    """
    found = np.full((len(points), 2), -1)
    covered = masks.covered
    if not len(points) or not covered.any():
        return found
    reach = settings.fill * Grid(masks.size, settings.grid).factor
    distances: FloatMap
    distances, nearest = ndimage.distance_transform_edt(~covered, return_indices=True)
    height, width = masks.size
    inside = np.logical_and.reduce((points >= 0) & (points < (width, height)), axis=1)
    columns, rows = np.where(inside[:, None], points, 0).astype(np.int64).T
    near = inside & (distances[rows, columns] <= reach)
    found[near] = nearest[:, rows[near], columns[near]].T
    return found


def divide_by_points(
    masks: InputMasks,
    places: npt.NDArray[np.int64],
    edge: FloatMap,
    scores: npt.NDArray[np.float64],
    settings: WalkSettings,
) -> Refinement:
    """Divide masks with scores (N,) among points (P, 2), row and column, by an edge map (H, W).

    Narrow gaps between masks go to the instances beside them. Masks in a region without a point
    stay as they are, with half their score.
    """
    inputs = masks.flatten()
    areas, regions = _areas(inputs > 0, settings)
    labels = np.zeros(edge.shape, np.int32)
    instance_scores: list[float] = []
    sources: list[tuple[int, ...]] = []
    point_regions = regions[tuple(places.T)] if len(places) else np.zeros(0, np.int64)
    boxes = ndimage.find_objects(regions)
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        region, own = regions[box] == number, inputs[box]
        seeds = _seeds(places[point_regions == number], box, region)
        parts = _parts(areas[box] == number, own, seeds, edge[box], settings)
        parts = np.where(region, parts, 0)
        marked = bool(seeds.any())
        for part in np.unique(parts[region & (parts > 0)]).tolist():
            mask = region & (parts == part)
            origin = _origin(own, mask)
            if not origin:
                continue  # nothing but a gap
            labels[box][mask] = len(sources) + 1
            best = max(float(scores[index]) for index in origin)
            instance_scores.append(best if marked else UNMARKED * best)
            sources.append(origin)
    return Refinement(labels, np.array(instance_scores), tuple(sources), (), (), len(masks))


def divide_among_seeds(
    inputs: LabelImage, seeds: LabelImage, edge: FloatMap, settings: WalkSettings
) -> LabelImage:
    """Divide masks, numbered in (H, W), among seeds, numbered in (H, W), by an edge map (H, W).

    Each mask goes to the seed that lies on it, or is divided among several; one without a seed goes
    to that from which a walk is likeliest there. Narrow gaps between masks go to the parts beside
    them. Returns the seeds' numbers, 0 elsewhere. Raises InputError without a seed on the masks.
    """
    areas, regions = _areas(inputs > 0, settings)
    if not (seeds[areas > 0] > 0).any():
        raise InputError("No seed is on the masks: draw one in each object.")
    parts = _parts(areas > 0, inputs, np.where(areas > 0, seeds, 0), edge, settings)
    return np.where(regions > 0, parts, 0)


def _areas(covered: npt.NDArray[np.bool_], settings: WalkSettings) -> tuple[LabelImage, LabelImage]:
    """Number the areas (H, W) that a walk over masks may cross, and what is divided of each.

    A walk steps from a mask to one that lies beside it on the grid.
    """
    grid = Grid(covered.shape, settings.grid)
    near = ndimage.binary_dilation(grid.touched(covered), EIGHT_NEIGHBOURS)
    areas = grid.upsample(ndimage.label(near, EIGHT_NEIGHBOURS)[0])
    return areas, np.where(_closed(covered, grid.factor), areas, 0)


def _seeds(
    places: npt.NDArray[np.int64], box: tuple[slice, ...], region: npt.NDArray[np.bool_]
) -> LabelImage:
    """Number the points (P, 2) of a region from 1 on, in its window."""
    seeds = np.zeros(region.shape, np.int32)
    for index, (row, column) in enumerate(places.tolist(), start=1):
        seeds[row - box[0].start, column - box[1].start] = index
    return seeds


def _closed(covered: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    """Fill gaps of at most twice `reach` pixels in (H, W)."""
    padded = np.pad(covered, reach)
    closed = ndimage.binary_closing(padded, EIGHT_NEIGHBOURS, iterations=reach)
    return closed[reach:-reach, reach:-reach] | covered


def _parts(
    area: npt.NDArray[np.bool_],
    inputs: LabelImage,
    seeds: LabelImage,
    edge: FloatMap,
    settings: WalkSettings,
) -> LabelImage:
    """Divide an area (h, w): among its seeds; without any, as the inputs divide it."""
    numbers = np.unique(seeds[seeds > 0])
    if len(numbers) == 0:
        return inputs
    if len(numbers) == 1:
        return area.astype(np.int32)
    parts = split_by_seeds(area, seeds, edge, settings)
    for label in np.unique(inputs[inputs > 0]).tolist():
        mask = inputs == label
        own = np.unique(seeds[mask & (seeds > 0)])
        if len(own) > 1:
            parts[mask] = split_by_seeds(mask, np.where(mask, seeds, 0), edge, settings)[mask]
        else:
            parts[mask] = own[0] if len(own) else np.bincount(parts[mask]).argmax()
    return parts


def _origin(inputs: LabelImage, mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the inputs that an instance is of: it has a share of them, or they of it."""
    shared = np.bincount(inputs[mask])
    areas = np.bincount(inputs.ravel(), minlength=len(shared))[: len(shared)]
    counts = shared >= np.maximum(MIN_SHARE * np.minimum(areas, mask.sum()), 1)
    return tuple((np.flatnonzero(counts & (np.arange(len(shared)) > 0)) - 1).tolist())
