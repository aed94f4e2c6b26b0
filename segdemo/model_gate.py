"""A lock around model calls: one call at a time, on hosts that lend a GPU per call too."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])
Borrow = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that runs a call where a GPU is lent to it, such as ZeroGPU's `spaces.GPU`."""


def model_call(method: Method) -> Method:
    """Mark a method that runs a model; `ModelGate.guard` puts it behind the gate.

    A generator holds the gate for one step at a time, so that others need not wait for all.
    """
    method.runs_model = True  # type: ignore[attr-defined]
    return method


class ModelGate:
    """Lets one call of a model through at a time, for all threads.

    borrow: on a host that lends its GPU to single calls, what runs a call there.
    """

    def __init__(self, borrow: Borrow | None = None) -> None:
        """Open a gate of its own."""
        self.lock = threading.Lock()
        self._borrow = borrow

    def guard(self, owner: object) -> None:
        """Put every method of `owner` that is marked as a `model_call` behind this gate."""
        for name, method in inspect.getmembers(type(owner), inspect.isfunction):
            if getattr(method, "runs_model", False):
                setattr(owner, name, self._guarded(getattr(owner, name)))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        steps = inspect.isgeneratorfunction(call)
        held = self._stepwise(call) if steps else self._at_once(call)
        return held if self._borrow is None else _borrowed(held, self._borrow)

    def _at_once(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def held(*args: Any, **kwargs: Any) -> Any:
            with self.lock:
                return call(*args, **kwargs)

        return held

    def _stepwise(self, generate: Callable[..., Generator[Any, None, None]]) -> Callable[..., Any]:
        @functools.wraps(generate)
        def held(*args: Any, **kwargs: Any) -> Iterator[Any]:
            end = object()
            with closing(generate(*args, **kwargs)) as steps:
                while True:
                    with self.lock:
                        step = next(steps, end)
                    if step is end:
                        return
                    yield step

        return held


def _borrowed(call: Callable[..., Any], borrow: Borrow) -> Callable[..., Any]:
    """Run a call where the GPU is: in another process, which a progress bar or Stop cannot reach.

    Arguments and results are pickled on the way, what the call is bound to is not.
    """
    signature, on_gpu = inspect.signature(call), borrow(call)

    @functools.wraps(call)
    def lent(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        progress = given.arguments.pop("progress", None)
        if progress is not None:
            progress(0, 1)
        return on_gpu(*given.args, **given.kwargs)

    return lent
