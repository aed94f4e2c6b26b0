"""Record a network's self-attention while it runs, without keeping layers x heads x HW x HW.

Enlarging and averaging maps is linear, so there is one float32 sum per map size, filled in blocks
of query rows inside the attention call that needs these rows anyway; rows of the map at full
resolution are put together on demand (`AttentionMap.rows`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segdemo.datatypes import InputError

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
    open, the layers compute their attention in blocks of rows, equal to rounding; then everything
    is as it was, after an error too. Several passes (draws of noise) are averaged. Only layers that
    call PyTorch's `scaled_dot_product_attention`, diffusers' default, are seen.
    """
    attention = AttentionMap()
    recorder = _Recorder(layers, attention, side)
    with ExitStack() as stack:
        for name, module in layers.modules.items():
            for handle in (
                module.register_forward_pre_hook(recorder.enter(name)),
                module.register_forward_hook(recorder.leave, always_call=True),
            ):
                stack.callback(handle.remove)
        stack.enter_context(recorder)
        yield attention
    recorder.finish()


class _Recorder(TorchFunctionMode):
    """Takes over `scaled_dot_product_attention` inside the chosen layers."""

    def __init__(self, layers: AttentionLayers, attention: AttentionMap, side: int) -> None:
        super().__init__()
        self.layers, self.attention, self.full = layers, attention, side
        self.inside: str | None = None
        self.seen: set[str] = set()

    def enter(self, name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            self.inside = name

        return note

    def leave(self, *_: object) -> None:
        self.inside = None

    def finish(self) -> None:
        """Check that every layer was seen; raises InputError."""
        silent = [name for name in self.layers.modules if name not in self.seen]
        if silent:
            raise InputError(
                f"Layer {silent[0]} does not compute attention by PyTorch's "
                "scaled_dot_product_attention, so nothing was recorded: load the model without "
                "other attention backends."
            )

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention or self.inside is None:
            return func(*args, **kwargs)
        self.seen.add(self.inside)
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale")
        given = dict(zip(names, args, strict=False)) | kwargs
        if given.get("attn_mask") is not None or given.get("is_causal"):
            raise InputError(f"Layer {self.inside} masks its attention, which is not supported.")
        scale = given.get("scale") or 1 / math.sqrt(given["query"].shape[-1])
        return self._attend(given["query"] * scale, given["key"], given["value"])

    def _attend(self, scaled: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Compute attention in blocks of rows and add its mean over heads to the sums.

        scaled: queries / sqrt(d), (1, heads, n, d). key, value: (1, heads, n, d).
        """
        _, heads, tokens, _ = scaled.shape
        side = self._side(tokens)
        start, end = self.layers.first_token, self.layers.first_token + side * side
        summed, share = self._sum(side, scaled.device), self._share(side)
        keys = key[0].transpose(1, 2)  # (heads, d, n)
        output = torch.empty_like(scaled[0])
        block = max(1, BLOCK // (heads * tokens))
        for first in range(0, tokens, block):
            last = min(first + block, tokens)
            probability = torch.bmm(scaled[0, :, first:last], keys).softmax(-1)  # (heads, r, n)
            output[:, first:last] = torch.bmm(probability, value[0])
            low, high = max(first, start), min(last, end)
            if low >= high:
                continue  # queries of other tokens
            seen = (slice(None), slice(low - first, high - first), slice(start, end))
            rows = probability[seen].float()
            if self.layers.text_keys == "image_keys" and tokens > side * side:
                rows = rows / rows.sum(-1, keepdim=True)
            summed[low - start : high - start].add_(rows.mean(0), alpha=share)
        return output[None]  # (1, heads, n, d)

    def _sum(self, side: int, device: torch.device) -> torch.Tensor:
        """Return the sum (side**2, side**2) of this map size, zeros at first."""
        image_tokens = side * side
        if side not in self.attention.sums:
            needed = 4 * image_tokens**2
            if needed > LARGEST_MAP:
                raise InputError(
                    f"A map of {side} x {side} cells takes {needed / 2**30:.0f} GB: choose a "
                    "smaller working size, or layers with smaller maps."
                )
            self.attention.sums[side] = torch.zeros(image_tokens, image_tokens, device=device)
        return self.attention.sums[side]

    def _side(self, tokens: int) -> int:
        """Return the side of a layer's map: the image's tokens, or a whole fraction of them."""
        return next(
            self.full // factor
            for factor in range(1, self.full + 1)
            if self.full % factor == 0 and (self.full // factor) ** 2 <= tokens
        )

    def _share(self, side: int) -> float:
        """Return a layer's weight; `rows` divides by the sum of all."""
        factor = self.full // side
        mass = 1.0 if self.layers.key_norm == "end" else 1 / factor**2
        return mass * (side if self.layers.layer_weights == "resolution" else 1)
