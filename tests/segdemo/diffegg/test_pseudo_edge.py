"""Thresholds split a score as Algorithm 2 says, and never leave a page without sense."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import InputError, PseudoEdge
from segdemo.diffegg.pseudo_edge import RULES, edge_map, pseudo_edge, split_score


@pytest.fixture
def score() -> np.ndarray:
    """Log-normal scores, of which few are far above the mean."""
    return np.exp(0.5 * np.random.default_rng(0).normal(size=(64, 64))).astype(np.float32)


def test_the_papers_rule_is_mean_and_deviation(score: np.ndarray) -> None:
    score = np.random.default_rng(0).normal(5, 1, (64, 64)).astype(np.float32)
    edge = pseudo_edge(score)
    assert (edge.rule, edge.used_fallback) == ("paper", False)
    assert edge.lower == pytest.approx(score.mean() - score.std())
    assert edge.upper == pytest.approx(score.mean() + score.std())
    np.testing.assert_array_equal(edge.labels == PseudoEdge.EDGE, score > edge.upper)
    np.testing.assert_array_equal(edge.labels == PseudoEdge.INTERIOR, score < edge.lower)


def test_without_interior_the_guard_steps_in_and_says_so() -> None:
    score = np.full((20, 20), 0.1, np.float32)
    score[:, 10] = 1.0  # a clean edge: mean - deviation is below every cell
    edge = pseudo_edge(score)
    assert (edge.rule, edge.used_fallback) == ("quantile", True)
    assert (edge.labels[:, 10] == PseudoEdge.EDGE).all()
    literal = pseudo_edge(score, "literal")
    assert (literal.rule, literal.used_fallback) == ("literal", False)
    assert not (literal.labels == PseudoEdge.INTERIOR).any()


@pytest.mark.parametrize("rule", RULES)
def test_zeros_at_the_rim_leave_edges_and_interior(score: np.ndarray, rule: str) -> None:
    score[[0, -1]] = score[:, [0, -1]] = 0
    edge = pseudo_edge(score, rule)
    inside = edge.labels[1:-1, 1:-1]
    assert 0.02 < (inside == PseudoEdge.EDGE).mean() < 0.3
    assert 0 <= edge.lower < edge.upper


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_score_has_no_edge(rule: str) -> None:
    for value in (0.0, 0.5):
        edge = pseudo_edge(np.full((8, 8), value, np.float32), rule)
        assert not (edge.labels == PseudoEdge.EDGE).any()


def test_thresholds_by_hand() -> None:
    edge = split_score(np.array([[0.0, 0.5, 1.0]], np.float32), 0.2, 0.8)
    assert edge.labels.tolist() == [[0, -1, 1]]
    assert edge.share(PseudoEdge.UNCERTAIN) == pytest.approx(1 / 3)


def test_the_edge_map_is_one_half_at_the_threshold() -> None:
    edge = edge_map(np.array([[0.0, 0.3, 0.6, 9.0]], np.float32), 0.3, (1, 4))
    np.testing.assert_allclose(edge.probability, [[0, 0.5, 1, 1]], atol=1e-6)
    assert edge.origin == "edge_kl"


def test_an_unknown_rule_is_told() -> None:
    with pytest.raises(InputError, match="choose one of paper"):
        pseudo_edge(np.ones((2, 2), np.float32), "luck")
