"""Exponential moving average (EMA) of weights: what is validated, kept and exported."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

State = dict[str, torch.Tensor]


def trained_state(model: nn.Module) -> State:
    """Return what training changes: parameters with gradients, and all buffers that are saved.

    The tensors are the model's own, not copies.
    """
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def load_trained_state(model: nn.Module, state: State) -> None:
    """Copy a state of `trained_state` into a model; raises RuntimeError for another model's."""
    own = trained_state(model)
    if own.keys() != state.keys():
        raise RuntimeError("the checkpoint is of another model or other trained layers")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


class WeightAverage:
    """The EMA of a model's trained weights and floating-point buffers; other buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start with the model's weights. decay: share of the old average that a step keeps."""
        self._model = model
        self._average = AveragedModel(
            _as_buffers(model), multi_avg_fn=_warmed_up(decay), use_buffers=True
        )
        self._average.n_averaged.fill_(1)  # what it starts with counts as a step

    def update(self) -> None:
        """Average in the model's weights after a step."""
        self._average.update_parameters(_as_buffers(self._model))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights inside the context."""
        own = {name: value.clone() for name, value in trained_state(self._model).items()}
        self.apply()
        try:
            yield
        finally:
            load_trained_state(self._model, own)

    def apply(self) -> None:
        """Give the model the averaged weights."""
        load_trained_state(self._model, self._values)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights by name, and how many steps they are from."""
        return {"steps": int(self._average.n_averaged) - 1, "values": self._values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint; raises KeyError for another model's."""
        self._average.n_averaged.fill_(state["steps"] + 1)
        for name, value in self._values.items():
            value.copy_(state["values"][name])

    @property
    def _values(self) -> State:
        return dict(zip(trained_state(self._model), self._average.module.buffers(), strict=True))


def _as_buffers(model: nn.Module) -> nn.Module:
    """Return a module of the trained tensors alone: a frozen network must not be copied."""
    holder = nn.Module()
    for index, value in enumerate(trained_state(model).values()):
        holder.register_buffer(str(index), value)  # names of a buffer have no dots
    return holder


def _warmed_up(decay: float) -> Callable[[Any, Any, Any], None]:
    """Return an EMA whose decay grows with the steps: a short run must not keep its first weights.

    The decay of step n is min(decay, (1 + n) / (10 + n)).
    """

    @torch.no_grad()
    def update(
        average: list[torch.Tensor], current: list[torch.Tensor], steps: torch.Tensor
    ) -> None:
        if not average[0].is_floating_point():
            torch._foreach_copy_(average, current)
            return
        count = int(steps)
        torch._foreach_lerp_(average, current, 1 - min(decay, (1 + count) / (10 + count)))

    return update
