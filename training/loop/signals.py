"""Being told to stop: what is under way is finished and saved first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sigterm() -> Iterator[Callable[[], bool]]:
    """Yield whether SIGTERM came: schedulers send it before they take the machine away."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)
