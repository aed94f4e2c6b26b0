"""What all wiring shares: queues, Stop, work that starts and ends, and files that are saved."""

from __future__ import annotations

from typing import Any

import gradio as gr

from segdemo.datatypes import Progress
from segdemo.ui.errors import Stopped

MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
# The assistant holds its models for one step at a time, so traces get a queue of their own
TRACE_QUEUE: dict[str, Any] = {"concurrency_id": "trace", "concurrency_limit": 1}
RIP_QUEUE: dict[str, Any] = {"concurrency_id": "rip", "concurrency_limit": 2}
QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
LIGHT: dict[str, Any] = {  # never behind a model
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
# Events that carry data: in Gradio 6.31 `always_last` runs again with the first event's data. One
# at a time, so that they stay in order
IN_ORDER = LIGHT | {"concurrency_limit": 1, "trigger_mode": "multiple"}
SAVE_FILE = """
(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name || "";
  link.click();
}
"""


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


def press_stop(stop: StopSignal) -> str:
    """Ask the running work to end; value for the status line."""
    stop.press()
    return "Stopping after the current pass ..."


def arm_stop(stop: StopSignal) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before work: forget an earlier press; updates for (start button, Stop button)."""
    stop.clear()
    return gr.update(interactive=False), gr.update(interactive=True)


def reset_buttons() -> tuple[dict[str, Any], dict[str, Any]]:
    """After work: updates for (start button, Stop button)."""
    return gr.update(interactive=True), gr.update(interactive=False)


def finally_(event: Any, *arguments: Any, **options: Any) -> None:
    """Run a handler once `event` is done, whether or not it failed."""
    event.then(*arguments, **options)
    event.failure(*arguments, **options)  # in Gradio 6.31 `then` keeps still after an error
