"""How events are wired: queues, runs that can be stopped, downloads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr

from segdemo.datatypes import Progress
from segdemo.ui.errors import Stopped
from segdemo.ui.uploads import Upload

Updates = dict[Any, Any]
"""New values by component."""

THREADS = 128  # of Gradio's, at once; half of them stay free for what needs no model
# They wait in the models' own line (`ModelGate`), which knows photos where Gradio knows batches
MODEL_RUNS: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": THREADS // 2}
RIP_QUEUE: dict[str, Any] = {"concurrency_id": "rip", "concurrency_limit": 2}
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
QUIET = PRIVATE | {"queue": False}
LIGHT = PRIVATE | {"concurrency_limit": None, "trigger_mode": "always_last"}  # never behind a model
# Events that carry data: in Gradio 6.31 `always_last` runs again with the first event's data. One
# at a time, so that they stay in order
IN_ORDER = PRIVATE | {"concurrency_limit": 1, "trigger_mode": "multiple"}
# Emptied once it is saved: a button that holds a file saves it at a click, before the next is made
SAVE_FILE = """
(file) => {
  if (file?.url) {
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name || "";
    link.click();
  }
  return null;
}
"""

# The token as the mask editor keeps it over a reload: an answer that is late cannot replace it.
# Private windows may refuse storage
TOKEN_OF_BROWSER = """
(token, ...inputs) => {
  try {
    token = sessionStorage.getItem("segdemo-refine") || "";
  } catch {}
  return [token, ...inputs];
}
"""


SCROLL = """
(id, needsImage) => {
  if (needsImage && !document.querySelector(`#${needsImage} img`)) return;
  const place = document.getElementById(id), box = place.getBoundingClientRect();
  const seen = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (seen < box.height / 2) place.scrollIntoView({ behavior: calm ? "auto" : "smooth" });
}
"""


def scroll_to(elem_id: str, needs_image: str = "") -> str:
    """Return a script that scrolls to what appeared there, where less than half of it is in view.

    needs_image: the id of what has to show an image, else nothing appeared.
    """
    return f"() => ({SCROLL})({json.dumps(elem_id)}, {json.dumps(needs_image)})"


SAY_STOPPING = '() => "Stopping after the current pass ..."'


class StopSignal:
    """One session's Stop button, as the working thread sees it.

    No lock or event inside: Gradio copies it for each session, and one flag needs none.
    """

    def __init__(self) -> None:
        """Start with nothing to stop."""
        self._pressed = False
        self._about: str | None = None  # file of the photo

    def press(self) -> None:
        """Ask the running work to end after its current pass."""
        self._pressed = True

    def clear(self, photo: Upload | None = None) -> None:
        """Forget an earlier press, before new work starts; photo: what it is about."""
        self._pressed, self._about = False, photo["path"] if photo else None

    def press_for_new(self, photo: Upload | None) -> bool:
        """Stop work unless it is about this photo; return whether it was stopped.

        A busy server may hear of a photo after it heard of the work on it.
        """
        new = photo is None or photo["path"] != self._about
        self._pressed |= new
        return new

    @property
    def pressed(self) -> bool:
        """Whether the button was pressed since the last `clear`."""
        return self._pressed

    def check(self) -> None:
        """Raise Stopped if the button was pressed since the last `clear`."""
        if self.pressed:
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


def wire_run(
    buttons: tuple[gr.Button, gr.Button],
    stop: gr.State,
    status: Any,
    work: Callable[..., Any],
    inputs: set[Any],
    outputs: Iterable[Any],
    needs_result: tuple[gr.State, Iterable[Any]] | None = None,
    meanwhile: Iterable[gr.Button] = (),
    photo: gr.Image | None = None,
    **options: Any,
) -> Any:
    """Connect a button that starts `work`, and one that stops it.

    buttons: Start and Stop; one of them can be pressed at a time. stop: the session's StopSignal.
    status: says that work is stopping. needs_result: a state, and the buttons that can be pressed
    while it holds something. meanwhile: buttons that cannot be pressed while it works; those of
    them that need a result get that back, all others can be pressed afterwards. photo: what the
    work is about, where another photo stops it (`StopSignal.press_for_new`). options: of the event
    that works. Uploads reach `work` as Gradio's records, not opened. Returns the event that
    works.
    """
    start, halt = buttons
    result, dependent = needs_result or (None, ())
    dependent, meanwhile = list(dependent), list(meanwhile)

    def arm(signal: StopSignal, about: Upload | None = None) -> Updates:
        signal.clear(about)
        return {
            **dict.fromkeys([start, *meanwhile], gr.update(interactive=False)),
            halt: gr.update(interactive=True),
        }

    def reset_buttons(*kept: object) -> Updates:
        there = gr.update(interactive=any(one is not None for one in kept))
        return {
            **dict.fromkeys([start, *meanwhile], gr.update(interactive=True)),
            halt: gr.update(interactive=False),
            **dict.fromkeys(dependent, there),
        }

    armed_by = [stop] if photo is None else [stop, photo]
    run = start.click(arm, armed_by, [*buttons, *meanwhile], preprocess=False, **QUIET).then(
        work, inputs, list(outputs), preprocess=False, api_visibility="private", **options
    )
    changed = dict.fromkeys([*buttons, *meanwhile, *dependent])  # each once
    finally_(run, reset_buttons, result, list(changed), **QUIET)
    # said by the browser first: an answer of the server could arrive after the run's last line
    halt.click(None, None, status, js=SAY_STOPPING, **QUIET).then(
        StopSignal.press, stop, None, **QUIET
    )
    return run


def finally_(event: Any, *arguments: Any, **options: Any) -> None:
    """Run a handler once `event` is done, whether or not it failed."""
    event.then(*arguments, **options)
    event.failure(*arguments, **options)  # in Gradio 6.31 `then` does not run after an error


def wire_download(
    button: gr.DownloadButton, make_file: Callable[..., Any], inputs: Any, **options: Any
) -> None:
    """Connect a download: the file is made when the button is pressed, then saved."""
    outputs = options.pop("outputs", button)
    button.click(make_file, inputs, outputs, **(PRIVATE | options)).success(
        None, button, button, js=SAVE_FILE, **QUIET
    )
