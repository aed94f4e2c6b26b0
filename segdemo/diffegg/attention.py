"""Record a network's self-attention while it runs, without keeping layers x heads x HW x HW.

Enlarging and averaging maps is linear, so there is one float32 sum per map size, filled in blocks
of query rows inside the attention call that needs these rows anyway; rows of the map at full
resolution are put together on demand (`AttentionMap.rows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn import functional as F

from segdemo.datatypes import InputError
from segdemo.diffegg.attention_calls import AttentionCall, watch_attention

BLOCK = 1 << 21  # attention values computed at a time: 8 MB in float32
LARGEST_MAP = 2 << 30  # bytes of one sum; the step before has its own
BAND = 1 << 20  # values of the whole map put together at a time


@dataclass(eq=False)
class AttentionMap:
    """The average of self-attention over layers and heads (eq. 11), kept as a sum per map size.

    sums: by side of the layers' maps, (side**2, side**2). The whole has the side of the largest.
    Row p = i * side + j is what cell (i, j) looks at, a distribution over all cells.
    """

    sums: dict[int, torch.Tensor] = field(default_factory=dict)

    @property
    def side(self) -> int:
        """Cells along a side of the largest map."""
        return max(self.sums)

    def rows(self, first: int, last: int) -> torch.Tensor:
        """Return the map's rows of the image rows [first, last), ((last-first) * side, side**2).

        Queries of smaller maps are repeated; their keys are enlarged by half-pixel bilinear
        interpolation, whose weights sum to the enlargement in each axis (Eq. 11 leaves the keys
        open; DiffSeg does so too).
        """
        whole, count = self.side, last - first
        device = self.sums[whole].device
        total = torch.zeros(count, whole, whole * whole, device=device)
        for side, summed in self.sums.items():
            factor = whole // side
            low, high = first // factor, (last - 1) // factor + 1
            rows = summed[low * side : high * side]  # (r * side, side**2)
            if factor > 1:
                rows = F.interpolate(rows.view(-1, 1, side, side), (whole, whole), mode="bilinear")
            rows = rows.reshape(high - low, side, 1, whole * whole)
            for image_row in range(first, last):
                part = rows[image_row // factor - low]  # (side, 1, side**2)
                total[image_row - first].view(side, factor, -1).add_(part)
        total = total.view(count * whole, whole * whole)
        return total / total.sum(1, keepdim=True)  # (count * side, side**2)

    def row_blocks(self, halo: int = 0) -> Iterator[tuple[int, int, int, torch.Tensor]]:
        """Walk the image in bands of rows: yields (first, last, start, rows).

        rows: `rows(start, end)` of the band [first, last) and up to `halo` image rows around it.
        """
        band = max(1, BAND // self.side**3)
        for first in range(0, self.side, band):
            last = min(self.side, first + band)
            start, end = max(0, first - halo), min(self.side, last + halo)
            yield first, last, start, self.rows(start, end)


@dataclass(frozen=True)
class AttentionLayers:
    """The layers that count, by name, and how their maps are averaged; see `TraceSettings`.

    first_token: where the image's tokens begin among all; text and class tokens lie around them.
    """

    modules: dict[str, nn.Module]
    layer_weights: str = "uniform"
    key_norm: str = "layer"
    text_keys: str = "image_keys"
    first_token: int = 0

    def matching(self, pattern: str) -> AttentionLayers:
        """Keep the layers whose name holds one of a pattern's parts, separated by |.

        Not a regular expression: the pattern may come from an untrusted user, and some of
        those take years to match. Raises InputError where nothing matches.
        """
        parts = [part.strip() for part in pattern.split("|")]
        kept = {n: module for n, module in self.modules.items() if any(p in n for p in parts)}
        if not kept:
            examples = ", ".join(list(self.modules)[:: max(1, len(self.modules) // 3)][:3])
            raise InputError(
                f"Layer filter {pattern!r} matches none of {len(self.modules)} self-attention "
                f"layers, such as {examples}."
            )
        return replace(self, modules=kept)


@contextmanager
def record_attention(layers: AttentionLayers, side: int) -> Iterator[AttentionMap]:
    """Record the self-attention of one image's forward passes into the map it yields.

    side: tokens along a side of the image at full resolution; layer maps divide it. While it is
    open, the layers compute their attention in blocks of rows, equal to rounding; see
    `watch_attention`. Several passes (draws of noise) are averaged. Where a layer masks its
    attention, as language models do, what is recorded is without the mask, among image tokens.
    """
    attention = AttentionMap()
    with watch_attention(layers.modules, _Recorder(layers, attention, side)):
        yield attention


def layer_side(full: int, tokens: int) -> int:
    """Return the side of a layer's map: the image's tokens, or a whole fraction of them.

    full: tokens along a side of the image at full resolution. tokens: the layer's, with others.
    """
    return next(
        full // factor
        for factor in range(1, full + 1)
        if full % factor == 0 and (full // factor) ** 2 <= tokens
    )


def check_map_size(side: int) -> None:
    """Raise InputError where a map of side**2 cells takes more memory than one may."""
    needed = 4 * side**4
    if needed > LARGEST_MAP:
        raise InputError(
            f"A map of {side} x {side} cells takes {needed / 2**30:.0f} GB: choose a smaller "
            "working size, or layers with smaller maps."
        )


@dataclass(frozen=True, eq=False)
class _Recorder:
    """Adds the attention of one image's calls to a map; full: see `layer_side`."""

    layers: AttentionLayers
    attention: AttentionMap
    full: int

    def __call__(self, call: AttentionCall) -> torch.Tensor | None:
        side = layer_side(self.full, call.key.shape[2])
        summed, share = self._sum(side, call.key.device), self._share(side)
        image = slice(self.layers.first_token, self.layers.first_token + side * side)
        if call.masked:
            self._record_unmasked(call, image, summed, share)
            return None
        return self._attend(call, image, summed, share)

    def _attend(
        self, call: AttentionCall, image: slice, summed: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Compute attention in blocks of rows and add its mean over heads to a sum."""
        scaled, keys = call.scaled[0], call.key[0].transpose(1, 2)  # (heads, n, d), (heads, d, n)
        heads, tokens, _ = scaled.shape
        output = torch.empty_like(scaled)
        block = max(1, BLOCK // (heads * tokens))
        for first in range(0, tokens, block):
            last = min(first + block, tokens)
            probability = torch.bmm(scaled[:, first:last], keys).softmax(-1)  # (heads, r, n)
            output[:, first:last] = torch.bmm(probability, call.value[0])
            low, high = max(first, image.start), min(last, image.stop)
            if low >= high:
                continue  # queries of other tokens
            rows = probability[:, low - first : high - first, image].float()
            if self.layers.text_keys == "image_keys" and tokens > len(summed):
                rows = rows / rows.sum(-1, keepdim=True)
            summed[low - image.start : high - image.start].add_(rows.mean(0), alpha=share)
        return output[None]  # (1, heads, n, d)

    def _record_unmasked(
        self, call: AttentionCall, image: slice, summed: torch.Tensor, share: float
    ) -> None:
        """Add what image tokens would see in each other without the mask.

        Behind the mask of a language model a token sees those before it only, so that what two
        neighbours see could not be compared.
        """
        scaled, keys = call.scaled[0, :, image], call.key[0, :, image].transpose(1, 2)
        block = max(1, BLOCK // (len(scaled) * len(summed)))
        for part, rows in zip(scaled.split(block, 1), summed.split(block), strict=True):
            probability = torch.bmm(part, keys).softmax(-1).float()  # (heads, r, side**2)
            rows.add_(probability.mean(0), alpha=share)

    def _sum(self, side: int, device: torch.device) -> torch.Tensor:
        """Return the sum (side**2, side**2) of this map size, zeros at first."""
        image_tokens = side * side
        if side not in self.attention.sums:
            check_map_size(side)
            self.attention.sums[side] = torch.zeros(image_tokens, image_tokens, device=device)
        return self.attention.sums[side]

    def _share(self, side: int) -> float:
        """Return a layer's weight; `rows` divides by the sum of all."""
        factor = self.full // side
        mass = 1.0 if self.layers.key_norm == "end" else 1 / factor**2
        return mass * (side if self.layers.layer_weights == "resolution" else 1)
