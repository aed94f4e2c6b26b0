"""What happens in the tab "Cut out" when something is pressed or moved."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.cutouts import Finish
from segdemo.datatypes import FloatMap, InputError
from segdemo.images import to_grey
from segdemo.ui.cutout.changes import change_mask, count_changes, undo_change
from segdemo.ui.cutout.finishing import Finishing
from segdemo.ui.cutout.options import Options
from segdemo.ui.cutout.result_panel import ResultPanel
from segdemo.ui.cutout.results import (
    KeptResult,
    Kind,
    Segmented,
    discard,
    keep,
    preview,
    reduced,
    segment_upload,
    write_all_downloads,
    write_download,
)
from segdemo.ui.cutout.touching import painted_mask, refined_mask
from segdemo.ui.cutout.window_view import StrokeEvent, WindowEvent
from segdemo.ui.errors import Stopped, user_errors
from segdemo.ui.events import StopSignal, Updates
from segdemo.ui.uploads import Upload
from segdemo.ui.waiting import Place, follow

SEGMENTING = "Segmenting ..."
LOOKING = "Looking closer ..."
LOOK_STOPPED = "Stopped. The cut-out is as it was."
FAILED = "That did not work; the message says why."
STOPPED = "Stopped. Press Segment to start again."

Values = Mapping[Any, Any]
"""The inputs of a handler, by component."""


class CutoutHandlers:
    """The handlers of the tab; each returns new values by component."""

    def __init__(
        self,
        assistant: AnnotationAssistant,
        photo: gr.Image,
        options: Options,
        finishing: Finishing,
        panel: ResultPanel,
        kept: gr.State,
        window: gr.State,
        stop: gr.State,
    ) -> None:
        """Work on the tab's components."""
        self._assistant = assistant
        self._photo, self._options, self._panel = photo, options, panel
        self._finishing = finishing
        self._kept, self._window, self._stop = kept, window, stop

    @property
    def run_inputs(self) -> set[Any]:
        """What `run` takes."""
        return {self._photo, *self._inputs, self._kept, self._stop}

    @property
    def result_inputs(self) -> set[Any]:
        """What `redraw` and the downloads take, with `preprocess=False`."""
        return {self._kept, *self._finishing.all}

    @property
    def _inputs(self) -> set[Any]:
        return {*self._options.all, *self._finishing.all}

    def run(
        self,
        values: Values,
        progress: gr.Progress = gr.Progress(),  # noqa: B008, how Gradio finds the bar
    ) -> Iterator[Updates]:
        """Segment the image and show the result; on Stop leave everything as it was.

        Until then its place in the line is shown. A photo that is replaced meanwhile stops the
        run: a result shows only beside its own photo.
        """
        stop, status = values[self._stop], self._panel.status
        with user_errors():
            settings = self._options.settings.read(values)
            finish = self._finishing.read(values)

            said, line = SEGMENTING, ""

            def work(signal: StopSignal) -> Generator[Segmented, None, None]:
                bar = signal.watched(progress)

                def watched(done: int, total: int) -> None:
                    nonlocal said
                    said = f"Segmenting: {done} of {total} passes ..."
                    bar(done, total)

                photo, model = values[self._photo], str(values[self._options.model] or "")
                yield segment_upload(self._assistant, photo, settings, watched, model)

            try:
                for news in follow(work, stop):
                    if isinstance(news, Segmented):
                        segmented = news
                        continue
                    line = line if news is None else news.words
                    yield {status: line or said}
                kept = keep(segmented)
                shown = self._panel.show(kept, segmented.result, finish) | {
                    self._kept: kept,
                    self._window: None,
                    self._panel.undo: gr.update(interactive=False),
                }
                if stop.pressed:
                    discard(kept)
                    raise Stopped
            except Stopped:
                yield {status: STOPPED}
                return
            except Exception:
                yield {status: FAILED}
                raise
            discard(values[self._kept])
            yield shown

    @property
    def look_inputs(self) -> set[Any]:
        """What `look_closer` takes."""
        return {*self._inputs, self._kept, self._window, self._stop}

    def mark(self, event: WindowEvent) -> list[float] | None:
        """Keep the window that was drawn."""
        return event.box

    def look_closer(self, values: Values) -> Iterator[Updates]:
        """Let the model look at the window again and blend its answer in; Stop changes nothing."""
        kept, stop, status = values[self._kept], values[self._stop], self._panel.status
        with user_errors():
            settings = self._options.settings.read(values)
            finish = self._finishing.read(values)
            kept = self._given(values)
            started = time.perf_counter()

            def work(signal: StopSignal) -> Generator[FloatMap, None, None]:
                mask = refined_mask(self._assistant, kept, values[self._window], settings)
                signal.check()
                yield mask

            try:
                for news in follow(work, stop):
                    if isinstance(news, Place) or news is None:
                        yield {status: news.words if news and news.before else LOOKING}
                        continue
                    if stop.pressed:  # also by another photo, which removed this result
                        raise Stopped
                    kept = change_mask(kept, news)
            except Stopped:
                yield {status: LOOK_STOPPED}
                return
            seconds = time.perf_counter() - started
            yield self._looked(kept, finish) | {
                status: f"Looked at the window again in {seconds:.1f} s. {_changes_so_far(kept)}"
            }

    def paint(self, values: Values, event: StrokeEvent) -> Updates:
        """Add to the subject by a soft brush, or remove."""
        with user_errors():
            kept = self._given(values)
            kept = change_mask(kept, painted_mask(kept, event.points, event.size, event.add))
            done = "Added to the cut-out." if event.add else "Removed from the cut-out."
            return self._looked(kept, self._finishing.read(values)) | {
                self._panel.status: f"{done} {_changes_so_far(kept)}",
            }

    def undo(self, values: Values) -> Updates:
        """Take the last change back."""
        with user_errors():
            kept = undo_change(self._given(values))
            return self._looked(kept, self._finishing.read(values)) | {
                self._panel.status: f"Took the last change back. {_changes_so_far(kept)}",
            }

    def _looked(self, kept: KeptResult, finish: Finish) -> Updates:
        undo = gr.update(interactive=count_changes(kept) > 0)
        shown = self._panel.show_mask(kept, finish)
        return shown | {self._kept: kept, self._panel.undo: undo}

    @property
    def compare_inputs(self) -> set[Any]:
        """What `compare` takes."""
        return {self._kept, self._panel.other, self._stop, *self._finishing.all}

    def compare(self, values: Values) -> Iterator[Updates]:
        """Segment the photo with another model, and show both masks under one slider."""
        status, stop, other = self._panel.status, values[self._stop], values[self._panel.other]
        with user_errors():
            kept, levels = self._given(values), self._finishing.read(values).levels
            settings = self._assistant.segment_defaults_of(other)
            upload = Upload(path=str(kept.photo), orig_name=kept.name)

            def work(signal: StopSignal) -> Generator[Segmented, None, None]:
                yield segment_upload(self._assistant, upload, settings, signal.checked, other)

            try:
                for news in follow(work, stop):
                    if isinstance(news, Segmented):
                        second = news
                    else:
                        yield {status: news.words if news and news.before else SEGMENTING}
                if stop.pressed:
                    raise Stopped
            except Stopped:
                yield {status: LOOK_STOPPED}
                return
            masks = kept.mask, reduced(second.result.mask)
            shown = [preview(to_grey(levels.apply(mask)), "mask.jpg") for mask in masks]
            first = kept.model or self._assistant.models[0]
            label = f"{first} | {other}"
            yield {
                self._panel.two_models: gr.update(value=shown, label=label),
                status: f"Left: {first}. Right: {second.summary}",
            }

    def redraw(self, values: Values) -> Updates:
        """Show the kept result finished another way: no model, no file of the result."""
        kept: KeptResult | None = values[self._kept]
        if kept is None:
            return {self._panel.status: gr.skip()}
        with user_errors():
            return self._panel.show_mask(kept, self._finishing.read(values))

    def forget(self, values: Values) -> Updates:
        """Remove the result of a photo that was replaced, and stop a run that works on it."""
        if not values[self._stop].press_for_new(values[self._photo]):
            return {}
        discard(values[self._kept])
        return self._panel.clear() | {self._kept: None, self._window: None}

    def download(self, kind: Kind, values: Values) -> Path:
        """Make the file that a button stands for."""
        with user_errors():
            return write_download(self._given(values), kind, self._finishing.read(values))

    def download_all(self, values: Values) -> Path:
        """Make a zip of all files."""
        with user_errors():
            return write_all_downloads(self._given(values), self._finishing.read(values))

    def _given(self, values: Values) -> KeptResult:
        kept: KeptResult | None = values[self._kept]
        if kept is None:
            raise InputError("There is no result yet: press Segment first.")
        return kept


def _changes_so_far(kept: KeptResult) -> str:
    count = count_changes(kept)
    return "1 change so far." if count == 1 else f"{count} changes so far."
