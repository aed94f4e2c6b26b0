"""The accumulated attention map as features, the literal input of Algorithm 3's edge generator.

`segdemo.diffegg.attention` records the same map without gradients, one image at a time and in
blocks. This one is differentiable with respect to queries and keys and takes batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from segdemo.diffegg.attention import layer_side
from segdemo.diffegg.attention_calls import AttentionCall, watch_attention


@dataclass(frozen=True, eq=False)
class ImageAttention:
    """Queries and keys of image tokens, from which the map is put together when it is asked for.

    full: tokens along a side of the image at full resolution. first_token: where they begin.
    """

    full: int
    first_token: int
    kept: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def keep(self, call: AttentionCall) -> None:
        """Keep the image's part of a call, for `watch_attention`."""
        tokens = layer_side(self.full, call.key.shape[2]) ** 2
        image = slice(self.first_token, self.first_token + tokens)
        self.kept[call.layer] = call.scaled[:, :, image], call.key[:, :, image]

    @property
    def side(self) -> int:
        """Cells along a side of the largest map."""
        return max(layer_side(self.full, keys.shape[2]) for _, keys in self.kept.values())

    def map(self) -> torch.Tensor:
        """Return the average over layers and heads (eq. 11), (B, side**2, side, side), float32.

        Channel k of a cell is how much it looks at cell k, in row-major order; they sum to 1.
        Enlarged as `AttentionMap.rows` does: cells repeated, what they look at bilinearly.
        """
        sums: dict[int, torch.Tensor] = {}
        for queries, keys in self.kept.values():
            side = layer_side(self.full, keys.shape[2])
            # one layer's maps of all heads are the memory that this takes, so they are not kept
            seen = checkpoint(_mean_attention, queries, keys, use_reentrant=False)
            sums[side] = sums.get(side, 0) + seen
        total = sum(_enlarged(seen, side, self.side) for side, seen in sums.items())
        return total / len(self.kept)


@contextmanager
def keep_attention(
    modules: Mapping[str, nn.Module], full: int, first_token: int
) -> Iterator[ImageAttention]:
    """Keep queries and keys of modules, by name, while this is open; see `watch_attention`."""
    attention = ImageAttention(full, first_token)
    with watch_attention(modules, attention.keep):
        yield attention


def _mean_attention(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Return the mean over heads of what (B, heads, n, d) see among themselves, (B, n, n)."""
    return (queries @ keys.transpose(-2, -1)).softmax(-1, dtype=torch.float32).mean(1)


def _enlarged(seen: torch.Tensor, side: int, whole: int) -> torch.Tensor:
    """Return attention (B, n, n) of n = side**2 cells as (B, whole**2, whole, whole)."""
    factor = whole // side
    keys = seen.unflatten(2, (side, side))  # (B, n, side, side)
    if factor > 1:
        keys = F.interpolate(keys, (whole, whole), mode="bilinear") / factor**2
    cells = keys.flatten(2).transpose(1, 2).unflatten(2, (side, side))  # (B, whole**2, side, side)
    return F.interpolate(cells, (whole, whole)) if factor > 1 else cells
