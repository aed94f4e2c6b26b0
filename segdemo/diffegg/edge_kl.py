"""EdgeKL (eq. 6), ABDiv in TRACE: a score of how differently a cell's neighbours attend.

Cells whose opposite neighbours attend to different things lie on an edge. TRACE is DiffEGG's
published version; ABDiv stands for attention boundary divergence.
"""

from __future__ import annotations

import torch

from segdemo.diffegg.attention import AttentionMap
from segdemo.diffegg.divergence import Metric, cosine, euclidean, jensen_shannon, kl, symmetric

EDGE_METRICS: dict[str, Metric] = {
    "kl": kl,
    "symmetric": symmetric,
    "js": jensen_shannon,
    "l2": euclidean,
    "cosine": cosine,
}


def edge_score(attention: AttentionMap, metric: str = "kl", border: str = "clamp") -> torch.Tensor:
    """Return the EdgeKL score, TRACE's ABDiv, (side, side) >= 0 (eq. 6), streamed.

    Each cell compares its lower neighbour with its upper and its right with its left one. border:
    at the image border `clamp` takes the cell itself for the missing neighbour, `zero` gives no
    score there.
    """
    compare, side = EDGE_METRICS[metric], attention.side
    bands = []
    for first, last, start, rows in attention.row_blocks(halo=1):
        grid = rows.view(-1, side, side * side)  # (r, side, side**2)
        own = torch.arange(first, last) - start
        upper, lower = (own - 1).clamp_min(0), (own + 1).clamp_max(len(grid) - 1)
        band = grid[own]
        left = torch.cat([band[:, :1], band[:, :-1]], 1)
        right = torch.cat([band[:, 1:], band[:, -1:]], 1)
        bands.append(compare(grid[lower], grid[upper]) + compare(right, left))
    score = torch.cat(bands).clamp_min(0)  # (side, side); rounding may leave -1e-9
    if border == "zero":
        score[[0, -1]] = 0
        score[:, [0, -1]] = 0
    return score
