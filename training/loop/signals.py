"""SIGTERM: the current step is finished and saved before a program exits."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield whether SIGTERM was received: schedulers send it before they take the machine away."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)
