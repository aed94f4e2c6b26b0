"""What happens in the tab "Cut out" when something is pressed or moved."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.ui.cutout.options import Options
from segdemo.ui.cutout.result_panel import ResultPanel
from segdemo.ui.cutout.results import (
    KeptResult,
    Kind,
    Segmented,
    discard,
    keep,
    segment_upload,
    write_all_downloads,
    write_download,
)
from segdemo.ui.errors import Stopped, user_errors
from segdemo.ui.events import StopSignal, Updates
from segdemo.ui.waiting import follow

SEGMENTING = "Segmenting ..."
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
        panel: ResultPanel,
        kept: gr.State,
        stop: gr.State,
    ) -> None:
        """Work on the tab's components."""
        self._assistant = assistant
        self._photo, self._options, self._panel = photo, options, panel
        self._kept, self._stop = kept, stop

    @property
    def run_inputs(self) -> set[Any]:
        """What `run` takes."""
        return {self._photo, *self._options.all, self._kept, self._stop}

    @property
    def result_inputs(self) -> set[Any]:
        """What `redraw` and the downloads take."""
        return {self._kept, self._options.soft, self._options.threshold}

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
            threshold = self._options.read_threshold(values)

            def work(signal: StopSignal) -> Generator[Segmented, None, None]:
                watched = signal.watched(progress)
                yield segment_upload(self._assistant, values[self._photo], settings, watched)

            try:
                for news in follow(work, stop):
                    if isinstance(news, Segmented):
                        segmented = news
                    else:
                        yield {status: news.words or SEGMENTING} if news else gr.skip()
                kept = keep(segmented)
                shown = self._panel.show(kept, segmented.result, threshold) | {self._kept: kept}
                if stop.pressed:
                    discard(kept)
                    raise Stopped
            except Stopped:
                yield {status: STOPPED}
                return
            discard(values[self._kept])
            yield shown

    def redraw(self, values: Values) -> Updates:
        """Show the kept result with another threshold: no model, no file."""
        kept: KeptResult | None = values[self._kept]
        if kept is None:
            return {self._panel.status: gr.skip()}
        with user_errors():
            return self._panel.show_mask(kept, self._options.read_threshold(values))

    def forget(self, values: Values) -> Updates:
        """Remove the result of a photo that was replaced, and stop a run that works on it."""
        values[self._stop].press()
        discard(values[self._kept])
        return self._panel.clear() | {self._kept: None}

    def download(self, kind: Kind, values: Values) -> Path:
        """Make the file that a button stands for."""
        with user_errors():
            return write_download(self._given(values), kind, self._options.read_threshold(values))

    def download_all(self, values: Values) -> Path:
        """Make a zip of all files."""
        with user_errors():
            return write_all_downloads(self._given(values), self._options.read_threshold(values))

    def _given(self, values: Values) -> KeptResult:
        kept: KeptResult | None = values[self._kept]
        if kept is None:
            raise InputError("There is nothing to download yet: press Segment first.")
        return kept
