"""Transition matrix of the random walk, and T^t applied to masks without forming it.

A cell reaches every other within a radius; the affinity of two cells is 1 - the strongest edge on
the straight path between them (IRN, "Weakly Supervised Learning of Instance Segmentation with
Inter-pixel Relations"). T = D^-1 A^beta (DiffEGG, Algorithm 4, line 5) has rows that sum to 1, and
T^t X averages a mask X over the ends of t-step walks that start at each cell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import gammaln

FloatArray = npt.NDArray[np.float32]
NEGLIGIBLE = 1e-12  # affinities below it only slow the products down


def half_disc(radius: float) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) within a radius, one of each mirrored pair: 34 for radius 5."""
    reach = int(np.ceil(radius)) - 1
    return [
        (dy, dx)
        for dy in range(reach + 1)
        for dx in range(-reach, reach + 1)
        if (dy > 0 or dx > 0) and dy * dy + dx * dx < radius * radius
    ]


def path_cells(dy: int, dx: int) -> list[tuple[int, int]]:
    """Return the cells of the box between (0, 0) and (dy, dx) nearer than 1 to their line."""
    columns = range(min(0, dx), max(0, dx) + 1)
    length = dy * dy + dx * dx
    return [(y, x) for y in range(dy + 1) for x in columns if (dy * x - dx * y) ** 2 < length]


def transition_matrix(edge: FloatArray, radius: float, beta: float) -> sparse.csr_array:
    """Return T for an edge map (h, w) in [0, 1], (h*w, h*w) float32, rows sum to 1.

    Degrees are summed in float64: a row sum in float32 is off by 1e-7, which hundreds of steps
    make visible.
    """
    height, width = edge.shape
    cells = np.arange(height * width, dtype=np.int32).reshape(height, width)
    rows, columns, values = [cells.ravel()], [cells.ravel()], [np.ones(cells.size)]
    for dy, dx in half_disc(radius):
        if dy >= height or abs(dx) >= width:
            continue
        left, tall, wide = max(0, -dx), height - dy, width - abs(dx)
        strongest = np.maximum.reduce(
            [edge[y : y + tall, left + x : left + x + wide] for y, x in path_cells(dy, dx)]
        )
        affinity = ((1.0 - strongest.astype(np.float64)) ** beta).ravel()
        kept = affinity > NEGLIGIBLE
        here = cells[:tall, left : left + wide].ravel()[kept]
        there = cells[dy:, left + dx : left + dx + wide].ravel()[kept]
        rows += [here, there]
        columns += [there, here]
        values += [affinity[kept], affinity[kept]]
    affinities = sparse.csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(cells.size, cells.size),
    )
    degrees: npt.NDArray[np.float64] = np.asarray(affinities.sum(1)).ravel()
    return (sparse.diags_array(1 / degrees) @ affinities).tocsr().astype(np.float32)


def apply_power(
    transition: sparse.csr_array, masks: FloatArray, steps: int, tolerance: float = 1e-6
) -> FloatArray:
    """Return T^steps X for masks X (cells, N), to `tolerance` of its largest value.

    Only what masks can reach is computed; masks in different connected components of the
    graph share a column; and T^t is expanded in Chebyshev polynomials, which takes about
    sqrt(2 t ln(2 / tolerance)) products instead of t (T is similar to a symmetric matrix with
    eigenvalues in [-1, 1]).
    """
    count, part = connected_components(transition, directed=False)
    touched = [np.unique(part[np.flatnonzero(mask)]) for mask in masks.T]
    live = np.zeros(count, bool)
    for parts in touched:
        live[parts] = True
    cells = np.flatnonzero(live[part])
    column_of = _shared_columns(touched)
    packed = np.zeros((len(cells), max(column_of, default=-1) + 1), np.float32)
    for mask, column in zip(masks.T, column_of, strict=True):
        packed[:, column] += mask[cells]
    walked = _chebyshev_power(transition[cells][:, cells], packed, steps, tolerance)
    result = np.zeros_like(masks)
    for index, (parts, column) in enumerate(zip(touched, column_of, strict=True)):
        own = np.zeros(count, bool)
        own[parts] = True
        result[cells, index] = np.where(own[part[cells]], walked[:, column], 0)
    return result


def _shared_columns(touched: list[npt.NDArray[np.int32]]) -> list[int]:
    """Give each mask a column that no other mask of the same parts of the graph uses."""
    columns: list[set[int]] = []
    column_of = [0] * len(touched)
    for index in sorted(range(len(touched)), key=lambda i: -len(touched[i])):
        parts = set(touched[index].tolist())
        free = next((c for c, used in enumerate(columns) if not used & parts), len(columns))
        if free == len(columns):
            columns.append(set())
        columns[free] |= parts
        column_of[index] = free
    return column_of


def _chebyshev_power(
    transition: sparse.csr_array, values: FloatArray, steps: int, tolerance: float
) -> FloatArray:
    total = np.zeros_like(values)
    series = _chebyshev_series(transition, values)
    for coefficient, term in zip(power_coefficients(steps, tolerance), series, strict=False):
        if coefficient:
            total += np.float32(coefficient) * term
    return total


def _chebyshev_series(transition: sparse.csr_array, values: FloatArray) -> Iterator[FloatArray]:
    """Yield T_0(M) X, T_1(M) X .. of the Chebyshev polynomials by their recurrence."""
    before, now = values, transition @ values
    yield before
    while True:
        yield now
        before, now = now, 2 * (transition @ now) - before


def power_coefficients(steps: int, tolerance: float) -> npt.NDArray[np.float64]:
    """Return the Chebyshev coefficients of x^steps, cut where the rest sums to <= tolerance.

    c_k = 2^(1 - t) C(t, (t - k) / 2) for k of t's parity, half of that for k = 0: none is
    negative and all sum to 1, so what is cut off bounds the error.
    """
    degrees = np.arange(steps % 2, steps + 1, 2)
    logs = (
        gammaln(steps + 1)
        - gammaln((steps - degrees) / 2 + 1)
        - gammaln((steps + degrees) / 2 + 1)
        - steps * np.log(2)
    )
    values = np.exp(logs) * np.where(degrees == 0, 1.0, 2.0)
    rest = np.cumsum(values[::-1])[::-1]  # of this degree and all above
    kept = max(1, int((rest > tolerance).sum()))
    coefficients = np.zeros(degrees[kept - 1] + 1)
    coefficients[degrees[:kept]] = values[:kept]
    return coefficients
