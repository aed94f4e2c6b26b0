"""Give pixels to the seed that a random walk from there meets first (Grady, PAMI 2006).

The walk ends at whatever seed it meets, so each pixel's chances solve a linear system; there is no
number of steps to choose, and far seeds do not fade. Own code: `skimage.segmentation.random_walker`
takes grey values and no edge map.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

from segdemo.datatypes import FloatMap, InputError
from segdemo.rip.grid import BoolMask, Grid, LabelImage
from segdemo.rip.nearest import join_islands

CELLS = 160  # along the longer side
CROSSING = 14.0  # a step across the strongest edge is exp(-CROSSING) as likely as one without
LEAST = 1e-6  # weight of any step, so that every cell reaches a seed


def first_seed(area: BoolMask, seeds: LabelImage, edge: FloatMap) -> LabelImage:
    """Give every pixel of an area (H, W) to the seed that a random walk meets first.

    seeds: (H, W) ints, 0 = none; seeds outside the area are ignored. edge: (H, W) in [0, 1]; the
    walk seldom crosses what is strong. Returns (H, W) with the seeds' numbers inside the area and 0
    elsewhere. Each number's pixels hang together with its seed within the area; pieces of the area
    that hold no seed go to the nearest part. Raises InputError without two different seeds on the
    area, or where sizes disagree.
    """
    if not area.shape == seeds.shape == edge.shape:
        raise InputError("Area, seeds and edge map differ in size: give them one size.")
    numbers = np.unique(seeds[area & (seeds > 0)])
    if len(numbers) < 2:
        raise InputError("Mark at least two things, each with a stroke of its own.")
    (box,) = ndimage.find_objects(area.astype(np.int32))
    inside = area[box]
    marks = np.where(inside, seeds[box], 0)
    grid = Grid(inside.shape, CELLS)
    sources = np.stack([grid.touched(marks == number) for number in numbers])  # (S, h, w)
    chances = _chances(grid.touched(inside), sources, grid.max_pool(edge[box]))  # (S, h, w)
    owner = numbers[_likeliest(chances, grid)]  # (H, W)
    owner[marks > 0] = marks[marks > 0]
    result = np.zeros(area.shape, np.int32)
    result[box] = np.where(inside, join_islands(np.where(inside, owner, 0), marks), 0)
    return result


def _chances(
    cells: BoolMask, sources: npt.NDArray[np.bool_], edge: FloatMap
) -> npt.NDArray[np.float32]:
    """Return each source's share of the walks that begin in a cell, (S, h, w); 0 outside cells."""
    held = sources & (np.cumsum(sources, 0) == 1)  # a cell that two strokes touch is the first's
    place = np.where(cells, np.cumsum(cells).reshape(cells.shape) - 1, -1)
    count = int(cells.sum())
    # A seed that lies on an edge must be able to leave it
    strength = np.where(held.any(0), 0, edge).astype(np.float64)
    rows, columns, weights = [], [], []
    for one, other in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        linked = cells[one] & cells[other]
        weight = np.exp(-CROSSING * np.maximum(strength[one], strength[other])) + LEAST
        rows.append(place[one][linked])
        columns.append(place[other][linked])
        weights.append(weight[linked])
    first, second, weight = (np.concatenate(each) for each in (rows, columns, weights))
    joined = sparse.coo_array((weight, (first, second)), shape=(count, count))
    joined = (joined + joined.T).tocsr()
    laplacian = sparse.diags_array(joined.sum(1)) - joined
    seeded = held.any(0)[cells]
    walks = ~seeded & _reached(joined, seeded)
    shares = held[:, cells].T.astype(np.float64)  # (cells, S)
    if walks.any():
        system = laplacian.tocsr()[walks]
        solver = splu(system[:, walks].tocsc())
        shares[walks] = solver.solve(-(system[:, seeded] @ shares[seeded]))
    chances = np.zeros((len(sources), *cells.shape), np.float32)
    chances[:, cells] = shares.T
    return chances


def _reached(joined: sparse.csr_array, seeded: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the cells from which a walk can meet a seed: others have no equation of their own."""
    _, pieces = sparse.csgraph.connected_components(joined, directed=False)
    reached: npt.NDArray[np.bool_] = np.isin(pieces, pieces[seeded])
    return reached


def _likeliest(chances: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.intp]:
    """Return the index of the largest of chances (S, h, w) at each pixel, (H, W).

    They are enlarged linearly, one after the other, so that borders are smooth.
    """
    height, width = grid.size
    best = np.full((height, width), -1, np.float32)
    owner = np.zeros((height, width), np.intp)
    size = (chances.shape[2] * grid.factor, chances.shape[1] * grid.factor)
    for index, each in enumerate(chances):
        large = Image.fromarray(each).resize(size, Image.Resampling.BILINEAR)
        inside = np.asarray(large)[:height, :width]
        stronger = inside > best
        best[stronger] = inside[stronger]
        owner[stronger] = index
    return owner
