"""How much two distributions differ, along the last axis, and L2 and cosine to compare with."""

from __future__ import annotations

from collections.abc import Callable

import torch

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
