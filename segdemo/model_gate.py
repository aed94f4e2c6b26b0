"""A line in front of the models: one call at a time, in the order in which they came.

A batch is no single call: each of its photos stands in line by itself, so that somebody's single
photo waits for one of them.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])
Borrow = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that runs a call where a GPU is lent to it, such as ZeroGPU's `spaces.GPU`."""
Watch = Callable[[int], None]
"""Told how many calls are before one; what it raises takes the call out of the line."""

CHECK_SECONDS = 0.25  # so soon a watch notices that nobody waits any more
_watch: ContextVar[Watch] = ContextVar("watch", default=lambda before: None)


def model_call(method: Method) -> Method:
    """Mark a method that runs a model; `ModelGate.guard` puts it behind the gate.

    A generator stands in line for one step at a time, so that others need not wait for all.
    """
    method.runs_model = True  # type: ignore[attr-defined]
    return method


@contextmanager
def watch_line(watch: Watch) -> Iterator[None]:
    """Let `watch` know of each call inside how many are before it, until that is 0.

    It is called where that changes, and several times a second.
    """
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


class ModelGate:
    """Lets one call of a model through at a time, for all threads, first come first served.

    borrow: on a host that lends its GPU to single calls, what runs a call there.
    """

    def __init__(self, borrow: Borrow | None = None) -> None:
        """Open a gate of its own."""
        self._borrow = borrow
        self._line: list[object] = []  # the first is the one that runs
        self._moved = threading.Condition()

    def __len__(self) -> int:
        """Return how many calls run or wait."""
        return len(self._line)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Stand in line, and run what is inside alone; see `watch_line`."""
        ticket = object()
        with self._moved:
            self._line.append(ticket)
        try:
            self._wait(ticket)
            yield
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()

    def _wait(self, ticket: object) -> None:
        watch, before = _watch.get(), -1
        while before:
            with self._moved:
                if self._line.index(ticket) == before:
                    self._moved.wait(CHECK_SECONDS)
                before = self._line.index(ticket)
            watch(before)

    def guard(self, owner: object) -> None:
        """Put every method of `owner` that is marked as a `model_call` behind this gate."""
        for name, method in inspect.getmembers(type(owner), inspect.isfunction):
            if getattr(method, "runs_model", False):
                setattr(owner, name, self._guarded(getattr(owner, name)))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        steps = inspect.isgeneratorfunction(call)
        if self._borrow is not None:
            call = _borrowed(call, self._borrow)
        return self._stepwise(call) if steps else self._at_once(call)

    def _at_once(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def held(*args: Any, **kwargs: Any) -> Any:
            with self.turn():
                return call(*args, **kwargs)

        return held

    def _stepwise(self, generate: Callable[..., Generator[Any, None, None]]) -> Callable[..., Any]:
        @functools.wraps(generate)
        def held(*args: Any, **kwargs: Any) -> Iterator[Any]:
            end = object()
            with closing(generate(*args, **kwargs)) as steps:
                while True:
                    with self.turn():
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
