"""The normalized cut of an image's patches: affinities and the eigenvector that divides them.

Shi and Malik, "Normalized Cuts and Image Segmentation" (PAMI 2000), on the features of a vision
transformer as in TokenCut (arXiv 2202.11539), section 3. numpy and SciPy only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, eigsh

FloatArray = npt.NDArray[np.float64]
WEAK = 1e-5  # the affinity of unlike patches: above zero, so that the graph stays connected


def unit_features(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale features (.., d) to length 1; those of zeros stay zeros."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    units: npt.NDArray[np.float32] = features / np.maximum(lengths, 1e-12)
    return units


def affinities(features: npt.NDArray[np.float32], tau: float) -> FloatArray:
    """Return W (n, n) of patches' features (n, d): 1 where their cosine exceeds tau, else 1e-5.

    The edges of TokenCut, section 3. A feature of zeros is like nothing, itself included.
    """
    units = unit_features(features)
    return np.where(units @ units.T > tau, 1.0, WEAK)


def second_eigenvector(weights: FloatArray) -> FloatArray:
    """Return x of the second smallest lambda in (D - W) x = lambda D x, D = the row sums of W.

    weights: (n, n), symmetric, all above zero, n >= 2. Up to its length and sign x is D^-1/2 times
    the second largest eigenvector of M = D^-1/2 W D^-1/2. The largest, q = D^1/2 1, is known: the
    first of M + 1 - 2 q q^T, positive semidefinite with q at 0, is the wanted one, which the
    Lanczos method finds in some dozens of products without forming M.
    """
    roots = np.sqrt(weights.sum(1))
    known = roots / np.linalg.norm(roots)

    def apply(vector: FloatArray) -> FloatArray:
        vector = vector.ravel()
        product: FloatArray = (weights @ (vector / roots)) / roots
        return product + vector - 2 * known * (known @ vector)

    # a fixed start: the same image, the same masks
    start = np.random.default_rng(0).standard_normal(len(weights))
    operator = LinearOperator(weights.shape, matvec=apply, dtype=np.float64)
    _, vectors = eigsh(operator, k=1, which="LA", v0=start)
    vector: FloatArray = vectors[:, 0] / roots
    return vector
