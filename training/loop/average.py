"""The moving average of weights: what is validated, kept and exported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

State = dict[str, torch.Tensor]


def trained_state(model: nn.Module) -> State:
    """Return what training changes: parameters with gradients, and all buffers that are saved.

    The tensors are the model's own, not copies.
    """
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def load_trained_state(model: nn.Module, state: State) -> None:
    """Write a state of `trained_state` into a model; raises RuntimeError for another model's."""
    own = trained_state(model)
    if own.keys() != state.keys():
        raise RuntimeError("the checkpoint is of another model or other trained layers")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


class Average:
    """Exponential moving average of a model's trained weights; buffers follow as they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the model's weights. decay: share of the old average kept in a step."""
        self._model, self._decay = model, decay
        self._steps = 0
        self._values = {name: value.clone() for name, value in trained_state(model).items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's weights after a step.

        The decay grows with the number of steps: a short run must not keep its first weights.
        """
        self._steps += 1
        share = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps))
        current = trained_state(self._model)
        floats = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self._values[name] for name in floats], [current[name] for name in floats], share
        )
        for name in current.keys() - set(floats):
            self._values[name].copy_(current[name])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the averaged weights for a while."""
        own = {name: value.clone() for name, value in trained_state(self._model).items()}
        load_trained_state(self._model, self._values)
        try:
            yield
        finally:
            load_trained_state(self._model, own)

    def keep(self) -> None:
        """Give the model the averaged weights for good."""
        load_trained_state(self._model, self._values)

    def state_dict(self) -> dict[str, object]:
        """Return what a checkpoint needs."""
        return {"steps": self._steps, "values": self._values}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a checkpoint."""
        self._steps = int(state["steps"])  # type: ignore[call-overload]
        values: State = state["values"]  # type: ignore[assignment]
        for name, value in self._values.items():
            value.copy_(values[name])
