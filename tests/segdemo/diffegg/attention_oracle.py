"""The plain way: keep every layer's and head's attention, enlarge, average; loops for the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch import nn
from torch.nn import functional as F


class KeepQueriesAndKeys:
    """Computes queries and keys of attention modules from their inputs, by the projections."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.handles = [
            module.register_forward_pre_hook(self._keep, with_kwargs=True)
            for module in modules.values()
        ]

    def _keep(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        text, rotary = kwargs.get("encoder_hidden_states"), kwargs.get("image_rotary_emb")
        query, key = _heads(module, module.to_q(hidden)), _heads(module, module.to_k(hidden))
        if module.norm_q is not None:
            query, key = module.norm_q(query), module.norm_k(key)
        if text is not None:
            more_query = _heads(module, module.add_q_proj(text))
            more_key = _heads(module, module.add_k_proj(text))
            if module.norm_added_q is not None:
                more_query, more_key = (
                    module.norm_added_q(more_query),
                    module.norm_added_k(more_key),
                )
            query, key = torch.cat([query, more_query], 2), torch.cat([key, more_key], 2)
            if rotary is not None:  # FLUX, which has the text first
                count = more_query.shape[2]
                query, key = query.roll(count, 2), key.roll(count, 2)
        if rotary is not None:
            query, key = (apply_rotary_emb(values, rotary) for values in (query, key))
        self.kept.append((query[0], key[0]))  # (heads, n, d)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def _heads(module: Any, values: torch.Tensor) -> torch.Tensor:
    return values.unflatten(-1, (module.heads, -1)).transpose(1, 2)


def whole_map(
    kept: list[tuple[torch.Tensor, torch.Tensor]],
    grid: int,
    layer_weights: str = "uniform",
    key_norm: str = "layer",
    text_keys: str = "image_keys",
    first: int = 0,
) -> torch.Tensor:
    """Materialise eq. 11, (P, P). first: the image's first token."""
    maps = []
    for query, key in kept:
        probability = (query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])).softmax(-1)
        tokens = probability.shape[-1]
        side = max(s for s in range(1, grid + 1) if grid % s == 0 and s * s <= tokens)
        place = slice(first, first + side * side)
        image = probability[:, place, place]
        if text_keys == "image_keys":
            image = image / image.sum(-1, keepdim=True)
        maps.append((side, image.mean(0)))
    whole = max(side for side, _ in maps)
    total = torch.zeros(whole**2, whole**2)
    for side, one in maps:
        factor = whole // side
        keys = F.interpolate(one.view(-1, 1, side, side), (whole, whole), mode="bilinear")
        if key_norm == "layer":
            keys = keys / factor**2
        rows = keys.view(side, side, whole**2)
        rows = rows.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
        total += rows.reshape(whole**2, whole**2) * (side if layer_weights == "resolution" else 1)
    return total / total.sum(1, keepdim=True)


def kl_of_rows(a: np.ndarray, b: np.ndarray) -> float:
    """KL by a loop over keys."""
    return sum(p * (math.log(p + 1e-12) - math.log(q + 1e-12)) for p, q in zip(a, b, strict=True))


def edge_score(whole: torch.Tensor) -> np.ndarray:
    """Eq. 6 by loops over cells, clamped at the image border."""
    side = math.isqrt(len(whole))
    grid = whole.double().numpy().reshape(side, side, -1)
    score = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            down, up = grid[min(i + 1, side - 1), j], grid[max(i - 1, 0), j]
            right, left = grid[i, min(j + 1, side - 1)], grid[i, max(j - 1, 0)]
            score[i, j] = kl_of_rows(down, up) + kl_of_rows(right, left)
    return score


def attention_ratio(whole: torch.Tensor, labels: np.ndarray) -> float | None:
    """The instance check, a pair of cells at a time."""
    side = math.isqrt(len(whole))
    own = other = 0.0
    for p in range(side * side):
        at: dict[int, tuple[list[float], list[float]]] = {}
        for q in range(side * side):
            label, theirs = labels.flat[p], labels.flat[q]
            if p == q or not label or not theirs:
                continue
            far = (p // side - q // side) ** 2 + (p % side - q % side) ** 2
            at.setdefault(far, ([], []))[int(label != theirs)].append(float(whole[p, q]))
        for mine, others in at.values():
            weight = min(len(mine), len(others))
            if weight:
                own += weight * sum(mine) / len(mine)
                other += weight * sum(others) / len(others)
    return own / other if other else None
