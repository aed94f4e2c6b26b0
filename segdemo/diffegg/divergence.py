"""Differences between attention maps: PeakKL between timesteps, EdgeKL between neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from segdemo.datatypes import KLCurve
from segdemo.diffegg.attention import AttentionMap

EPSILON = 1e-12  # inside logarithms


def kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """KL(a || b) of the last axis in nats.

    The log-ratio is formed before the sum: entropy minus cross-entropy cancels where KL is small.
    """
    return (a * ((a + EPSILON).log() - (b + EPSILON).log())).sum(-1)


def symmetric(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean of KL(a || b) and KL(b || a)."""
    return (kl(a, b) + kl(b, a)) / 2


def jensen_shannon(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean KL of both to their average; at most ln 2."""
    middle = (a + b) / 2
    return (kl(a, middle) + kl(b, middle)) / 2


def euclidean(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Length of the difference."""
    return (a - b).norm(dim=-1)


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """One minus the cosine of the angle between both."""
    return 1 - torch.nn.functional.cosine_similarity(a, b, dim=-1, eps=EPSILON)


Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
EDGE_METRICS: dict[str, Metric] = {
    "kl": kl,
    "symmetric": symmetric,
    "js": jensen_shannon,
    "l2": euclidean,
    "cosine": cosine,
}
GAP_METRICS: dict[str, Metric] = {
    "clean_noisy": kl,
    "noisy_clean": lambda a, b: kl(b, a),
    "symmetric": symmetric,
    "js": jensen_shannon,
}


def map_gap(cleaner: AttentionMap, noisier: AttentionMap, metric: str = "clean_noisy") -> float:
    """Return the mean difference of two maps' rows in nats (Algorithm 1), streamed."""
    compare = GAP_METRICS[metric]
    total = sum(
        float(compare(rows, noisier.rows(first, last)).double().sum())
        for first, last, _, rows in cleaner.row_blocks()
    )
    return total / cleaner.side**2


def edge_score(attention: AttentionMap, metric: str = "kl", border: str = "clamp") -> torch.Tensor:
    """Return the EdgeKL score (side, side) >= 0 (eq. 6), streamed.

    Each cell compares its lower neighbour with its upper and its right with its left one. border:
    at the rim `clamp` takes the cell itself for the missing neighbour, `zero` gives no score there.
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


def peak_of(timesteps: Sequence[int], gaps: Sequence[float], keep: str = "clean") -> KLCurve:
    """Choose the step where attention changes most (PeakKL, Algorithm 1).

    Of equal gaps the noisier wins, as the strict comparison there has it. keep: "clean" or "noisy"
    member of the pair. Without a gap above zero the last step is taken and `flat` says so.
    """
    largest = max(gaps, default=0.0)
    if largest <= 0:
        return KLCurve(tuple(timesteps), tuple(gaps), len(timesteps) - 1, flat=True)
    pair = list(gaps).index(largest)
    return KLCurve(tuple(timesteps), tuple(gaps), pair + (keep == "clean"), flat=False)
