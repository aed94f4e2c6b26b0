"""What the page says: errors as one sentence each, a stop that stops, the line under a result."""

from __future__ import annotations

import contextlib
import html
import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr

from segdemo.datatypes import InputError, Progress

TOAST_SECONDS = 12
UNEXPECTED = (
    "Something went wrong inside segdemo; the server's log says what. Try again, or try another "
    "picture or a smaller working size."
)

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The user pressed Stop."""


class StopSignal:
    """One session's Stop button, as the working thread sees it.

    No lock or event inside: Gradio copies it for each session, and one flag needs none.
    """

    def __init__(self) -> None:
        """Start with nothing to stop."""
        self._pressed = False

    def press(self) -> None:
        """Ask the running work to end after its current pass."""
        self._pressed = True

    def clear(self) -> None:
        """Forget an earlier press, before new work starts."""
        self._pressed = False

    def check(self) -> None:
        """Raise Stopped if the button was pressed since the last `clear`."""
        if self._pressed:
            raise Stopped

    def checked(self, done: int, total: int) -> None:
        """Serve as a progress callback without a bar."""
        self.check()

    def watched(self, bar: gr.Progress) -> Progress:
        """Return a callback that moves the bar and raises Stopped once the button was pressed."""

        def report(done: int, total: int) -> None:
            self.check()
            bar((done, total), desc="Segmenting", unit="passes")

        return report


def arm_stop(stop: StopSignal) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before work: forget an earlier press; updates for (start button, Stop button)."""
    stop.clear()
    return gr.update(interactive=False), gr.update(interactive=True)


def rest_stop() -> tuple[dict[str, Any], dict[str, Any]]:
    """After work: updates for (start button, Stop button)."""
    return gr.update(interactive=True), gr.update(interactive=False)


def afterwards(event: Any, *arguments: Any, **options: Any) -> None:
    """Run a handler once `event` is done, whether or not it failed."""
    event.then(*arguments, **options)
    event.failure(*arguments, **options)  # in Gradio 6.31 `then` keeps still after an error


@contextlib.contextmanager
def plain_words() -> Iterator[None]:
    """Turn whatever goes wrong inside into a toast of one sentence; the server lives on."""
    try:
        yield
    except (gr.Error, Stopped):
        raise
    except InputError as error:
        raise toast(str(error)) from error
    except Exception as error:
        logger.exception("unexpected error in a handler")
        raise toast(UNEXPECTED) from error


def toast(sentence: str) -> gr.Error:
    """Return the error to raise; escaped, for toasts render HTML and file names may hold some."""
    escaped = html.escape(sentence, quote=False)
    return gr.Error(escaped, duration=TOAST_SECONDS, print_exception=False)
