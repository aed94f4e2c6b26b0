"""Runs that wait for the models: their place in the line, and an end once nobody waits for them."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from segdemo.model_gate import watch_line
from segdemo.ui.events import StopSignal

Item = TypeVar("Item")

SILENT_SECONDS = 1.0


@dataclass(frozen=True)
class Place:
    """A place in the line for the models. before: how many calls come first; 0: its turn."""

    before: int

    @property
    def words(self) -> str:
        """Say how long the line is."""
        return f"Waiting for the model: {self.before} before you." if self.before else ""


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def follow(
    work: Callable[[StopSignal], Generator[Item, None, None]], stop: StopSignal | None = None
) -> Iterator[Item | Place | None]:
    """Run work in a thread; yield what it yields, and its place in the line as that changes.

    None comes where nothing is new for a second: between two values Gradio notices that a page was
    closed, and closes this iterator. That, or a press of `stop`, takes the work out of the line;
    work that runs ends where it checks the signal that it is given. Raises what work raises:
    Stopped for `stop`.
    """
    signal = _RunSignal(stop)
    told: queue.SimpleQueue[Item | Place | _End] = queue.SimpleQueue()
    run = contextvars.copy_context().run  # where Gradio keeps whose progress bar it is
    threading.Thread(target=run, args=(_drain, work, signal, told), daemon=True).start()
    try:
        while True:
            try:
                item = told.get(timeout=SILENT_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, _End):
                break
            yield item
    finally:
        signal.press()
    if item.error is not None:
        raise item.error


class _RunSignal(StopSignal):
    """The signal of one run: its button was pressed, or nobody waits for it any more."""

    def __init__(self, button: StopSignal | None) -> None:
        super().__init__()
        self._button = button or StopSignal()

    @property
    def pressed(self) -> bool:
        return super().pressed or self._button.pressed


def _drain(
    work: Callable[[StopSignal], Generator[Item, None, None]],
    signal: StopSignal,
    told: queue.SimpleQueue[Item | Place | _End],
) -> None:
    last = 0

    def watch(before: int) -> None:
        nonlocal last
        signal.check()
        if before != last:
            told.put(Place(before))
        last = before

    try:
        with watch_line(watch), closing(work(signal)) as items:
            for item in items:
                told.put(item)
    except BaseException as error:  # also Stopped: whoever follows is told
        told.put(_End(error))
    else:
        told.put(_End(None))
