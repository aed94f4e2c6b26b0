"""From an EdgeKL score to edge, interior and uncertain cells (Algorithm 2). numpy only."""

from __future__ import annotations

import numpy as np
from PIL import Image

from segdemo.datatypes import EdgeMap, FloatMap, InputError, PseudoEdge

RULES = {
    "paper": "Edge above mean + deviation, interior below mean - deviation (Algorithm 2); where "
    "that leaves too little interior, as quantile.",
    "literal": "As paper without the exception: some images then have no interior at all.",
    "log": "The same for the logarithm of the scores above zero.",
    "mean": "Edge above mean + deviation, interior below the mean.",
    "quantile": "Edge above mean + deviation, interior the lowest 30 %, below the mean.",
}
FEWEST_INTERIOR = 0.1  # share of cells; with none a masked Dice loss is zero for "edge everywhere"
INTERIOR_QUANTILE = 0.3


def pseudo_edge(score: FloatMap, rule: str = "paper") -> PseudoEdge:
    """Split a score (h, w) >= 0 by a rule of `RULES`; raises InputError for another.

    Scores whose deviation exceeds their mean have no cell below mean - deviation: where the paper's
    rule leaves fewer than a tenth of the cells as interior, `quantile` takes over and the result
    says so (`used_fallback`).
    """
    if rule not in RULES:
        raise InputError(f"Threshold rule {rule!r}: choose one of {', '.join(RULES)}.")
    mean, deviation = float(score.mean()), float(score.std())
    upper = mean + deviation
    lowest = min(mean, float(np.quantile(score, INTERIOR_QUANTILE)))
    printed = mean - deviation
    by_rule = {"paper": printed, "literal": printed, "mean": mean, "quantile": lowest}
    lower = by_rule.get(rule, 0.0)
    if rule == "log":
        logs = np.log(score[score > 0])  # a zero, as at a border left out, says nothing here
        if logs.size:
            lower = float(np.exp(logs.mean() - logs.std()))
            upper = float(np.exp(logs.mean() + logs.std()))
    if rule == "paper" and (score < lower).mean() < FEWEST_INTERIOR:
        return split_score(score, lowest, upper, "quantile", used_fallback=True)
    return split_score(score, lower, upper, rule)


def split_score(
    score: FloatMap, lower: float, upper: float, rule: str = "by hand", used_fallback: bool = False
) -> PseudoEdge:
    """Label cells: edge above `upper`, interior below `lower`, uncertain between."""
    labels = np.full(score.shape, PseudoEdge.UNCERTAIN, np.int8)
    labels[score < lower] = PseudoEdge.INTERIOR
    labels[score > upper] = PseudoEdge.EDGE
    return PseudoEdge(labels, lower, upper, rule, used_fallback)


def edge_map(score: FloatMap, upper: float, size: tuple[int, int]) -> EdgeMap:
    """Turn a score into an edge map of (height, width) in [0, 1], 0.5 at the upper threshold."""
    strength = Image.fromarray(np.clip(score / max(2 * upper, 1e-12), 0, 1).astype(np.float32))
    enlarged = strength.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return EdgeMap(np.array(enlarged, np.float32), "edge_kl")
