"""Gaussian filtering of many points in a space of few dimensions, in linear time.

Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice"
(Eurographics 2010). numpy and SciPy only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class PermutohedralLattice:
    """Points among the vertices of a lattice, on which a Gaussian is a few small blurs.

    Splat, blur and slice (section 3): each point adds its value to the vertices of its simplex, the
    vertices are blurred along each axis, each point reads its vertices.
    """

    def __init__(self, points: FloatArray) -> None:
        """Place points (n, d), in units of the Gaussian's standard deviation."""
        nearest, rank, shares = _simplices(points)
        dimension = points.shape[1]
        numbers, strides = _vertices(nearest * (dimension + 1), rank)
        known, index = np.unique(numbers, return_inverse=True)
        owners = np.repeat(np.arange(len(points)), dimension + 1)
        self._splat = sparse.csr_array(
            (shares.ravel(), (index.ravel(), owners)), shape=(len(known), len(points))
        )
        self._slice = self._splat.T.tocsr()
        self._blurs = [_blur(known, strides, axis) for axis in range(dimension + 1)]

    def filter(self, values: FloatArray) -> FloatArray:
        """Return the sums of values (n, c), weighted by exp(-distance^2 / 2) up to one factor."""
        held = self._splat @ values  # (vertices, c)
        for blur in self._blurs:
            held = blur @ held
        filtered: FloatArray = self._slice @ held  # (n, c)
        return filtered


def _simplices(points: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return each point's simplex: its vertex of remainder 0, ranks, shares of the d+1 vertices.

    The vertex is in units of d + 1, (n, d+1); the ranks are those of the coordinates' distances to
    it, the largest first (section 3.2 and appendix).
    """
    dimension = points.shape[1]
    # an orthogonal basis of the plane whose coordinates sum to 0, in d+1 dimensions
    basis = np.triu(np.ones((dimension + 1, dimension)))
    basis[np.arange(1, dimension + 1), np.arange(dimension)] = -np.arange(1, dimension + 1)
    basis /= np.sqrt(np.arange(1, dimension + 1) * np.arange(2, dimension + 2))
    # in units of d+1: blurs by (1/4, 1/2, 1/4) then have a standard deviation of 1
    elevated = np.sqrt(2 / 3) * (points @ basis.T)  # (n, d+1)
    nearest = np.rint(elevated).astype(np.int64)
    order = np.argsort(nearest - elevated, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable") + nearest.sum(1, keepdims=True)
    shift = (rank < 0).astype(np.int64) - (rank > dimension)  # back to a sum of 0
    nearest += shift
    rank += shift * (dimension + 1)
    ordered = np.empty_like(elevated)
    np.put_along_axis(ordered, rank, elevated - nearest, axis=1)
    shares = np.empty_like(elevated)
    shares[:, 1:] = (ordered[:, :-1] - ordered[:, 1:])[:, ::-1]
    shares[:, 0] = 1 - ordered[:, 0] + ordered[:, -1]
    return nearest, rank, shares


def _vertices(base: IntArray, rank: IntArray) -> tuple[IntArray, IntArray]:
    """Return numbers that tell the vertices (n, d+1) of simplices apart, and each axis' stride.

    base: their vertices of remainder 0. Vertex k is the base plus k in all coordinates, less d + 1
    in the k of the highest ranks. A coordinate's step of one adds its stride to the number; all
    coordinates sum to 0, so that the last one's stride is 0.
    """
    axes = base.shape[1]
    margin = 2 * axes  # of the other vertices, and of their neighbors
    low = base.min(0) - margin
    extents = base.max(0) + margin + 1 - low
    strides = np.append(np.cumprod(np.append(1, extents[: axes - 2])), 0)
    by_rank = np.empty_like(rank)
    np.put_along_axis(by_rank, rank, np.broadcast_to(strides, rank.shape), axis=1)
    numbers = np.empty_like(base)
    numbers[:, 0] = (base - low) @ strides
    np.cumsum(strides.sum() - axes * by_rank[:, :0:-1], axis=1, out=numbers[:, 1:])
    numbers[:, 1:] += numbers[:, :1]
    return numbers, strides


def _blur(known: IntArray, strides: IntArray, axis: int) -> sparse.csr_array:
    """Return the blur (vertices, vertices) by (1/4, 1/2, 1/4) along one axis of the lattice."""
    wanted = known + strides.sum() - len(strides) * strides[axis]
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = np.flatnonzero(known[place] == wanted)
    shape = (len(known), len(known))
    forward = sparse.csr_array((np.full(len(found), 0.25), (found, place[found])), shape=shape)
    blur: sparse.csr_array = (
        forward + forward.T + sparse.dia_array((np.full((1, len(known)), 0.5), [0]), shape=shape)
    ).tocsr()
    return blur
