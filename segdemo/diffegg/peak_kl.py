"""PeakKL (Algorithm 1), IEP in TRACE: the timestep at which attention shows instances.

TRACE is DiffEGG's published version; IEP stands for instance emergence point.
"""

from __future__ import annotations

from collections.abc import Sequence

from segdemo.datatypes import KLCurve
from segdemo.diffegg.attention import AttentionMap
from segdemo.diffegg.divergence import Metric, jensen_shannon, kl, symmetric

GAP_METRICS: dict[str, Metric] = {
    "clean_noisy": kl,
    "noisy_clean": lambda a, b: kl(b, a),
    "symmetric": symmetric,
    "js": jensen_shannon,
}


def attention_gap(
    cleaner: AttentionMap, noisier: AttentionMap, metric: str = "clean_noisy"
) -> float:
    """Return the mean difference of two maps' rows in nats (Algorithm 1), streamed."""
    compare = GAP_METRICS[metric]
    total = sum(
        float(compare(rows, noisier.rows(first, last)).double().sum())
        for first, last, _, rows in cleaner.row_blocks()
    )
    return total / cleaner.side**2


def choose_peak(timesteps: Sequence[int], gaps: Sequence[float], keep: str = "clean") -> KLCurve:
    """Choose the step where attention changes most (PeakKL, TRACE's IEP; Algorithm 1).

    Of equal gaps the noisier wins, as the strict comparison there has it. keep: "clean" or "noisy"
    member of the pair. Without a gap above zero the last step is taken and `no_peak` says so.
    """
    largest = max(gaps, default=0.0)
    if largest <= 0:
        return KLCurve(tuple(timesteps), tuple(gaps), len(timesteps) - 1, no_peak=True)
    pair = list(gaps).index(largest)
    return KLCurve(tuple(timesteps), tuple(gaps), pair + (keep == "clean"), no_peak=False)
