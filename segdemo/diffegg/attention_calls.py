"""See the attention that chosen layers of a network compute, while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segdemo.datatypes import InputError


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """What a layer gives to PyTorch's `scaled_dot_product_attention`.

    scaled: queries divided by the square root of d, (B, heads, n, d). key, value: (B, heads, n, d),
    each of a group of heads repeated. masked: some queries may not see some keys, as in a language
    model.
    """

    layer: str
    scaled: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    masked: bool


Handler = Callable[[AttentionCall], torch.Tensor | None]
"""Returns the call's output (B, heads, n, d), or None to let PyTorch compute it."""


@contextmanager
def watch_attention(modules: Mapping[str, nn.Module], handle: Handler) -> Iterator[None]:
    """Give a handler every attention that modules compute while this is open.

    modules: by name. Then everything is as it was, after an error too. Only layers that call
    PyTorch's `scaled_dot_product_attention`, diffusers' and transformers' default, are seen; raises
    InputError for one that does not.
    """
    watcher = _Watcher(handle)
    with ExitStack() as stack:
        for name, module in modules.items():
            for hook in (
                module.register_forward_pre_hook(watcher.enter(name)),
                module.register_forward_hook(watcher.leave, always_call=True),
            ):
                stack.callback(hook.remove)
        stack.enter_context(watcher)
        yield
    silent = [name for name in modules if name not in watcher.seen]
    if silent:
        raise InputError(
            f"Layer {silent[0]} does not compute attention by PyTorch's "
            "scaled_dot_product_attention, so nothing was recorded: load the model without other "
            "attention backends."
        )


class _Watcher(TorchFunctionMode):
    """Takes over `scaled_dot_product_attention` inside the chosen layers."""

    def __init__(self, handle: Handler) -> None:
        super().__init__()
        self.handle = handle
        self.inside: str | None = None
        self.seen: set[str] = set()

    def enter(self, name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            self.inside = name

        return note

    def leave(self, *_: object) -> None:
        self.inside = None

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
        output = self.handle(_read_call(self.inside, args, kwargs))
        return func(*args, **kwargs) if output is None else output


def _read_call(layer: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AttentionCall:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
    given = dict(zip(names, args, strict=False)) | kwargs
    query, key, value = (given[name] for name in names[:3])
    scale = given.get("scale") or 1 / math.sqrt(query.shape[-1])
    if given.get("enable_gqa"):
        group = query.shape[1] // key.shape[1]
        key, value = (one.repeat_interleave(group, 1) for one in (key, value))
    masked = given.get("attn_mask") is not None or bool(given.get("is_causal"))
    return AttentionCall(layer, query * scale, key, value, masked)
