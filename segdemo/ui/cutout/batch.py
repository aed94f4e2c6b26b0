"""The batch panel: many photos or a zip in, a table that fills while it runs, one zip out."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.batch import FileStatus, PictureFile, segment_files
from segdemo.images import SUFFIXES
from segdemo.ui.cutout.options import Options
from segdemo.ui.cutout.results import read_settings, read_threshold
from segdemo.ui.errors import Stopped, user_errors
from segdemo.ui.events import (
    MODEL_QUEUE,
    QUIET,
    StopSignal,
    arm_stop,
    finally_,
    press_stop,
    reset_buttons,
)
from segdemo.ui.kept_files import RESULT_SECONDS, new_folder, pack
from segdemo.ui.uploads import FAILED, Rows, Upload, collect

HEADERS = ["File", "Status", "Details"]
WAITING, RUNNING, DONE = "waiting", "running", "done"
STOPPED = "stopped"
READY = "Add photos, then press Segment all. The settings under *Advanced* apply."


def segment_many(
    assistant: AnnotationAssistant,
    files: list[Upload] | None,
    size: object,
    seed: object,
    augment: object,
    ensemble: object,
    soft: object,
    threshold: object,
    follow: object,
    stop: StopSignal,
    previous: Path | None,
) -> Iterator[tuple[Any, Any, str, Path | None]]:
    """Segment files one by one, yielding (table, zip, status line, folder) after each.

    A file that fails is a row of the table and the rest goes on.
    """
    with user_errors():
        settings = read_settings(size, seed, augment, ensemble, follow)
        limit = read_threshold(soft, threshold)
        discard_folder(previous)
        folder = new_folder()
        pictures, rows = collect(files or [], folder / "uploads")
        progress = BatchProgress(pictures, rows)
        yield progress.rows, None, progress.line, folder
        try:
            for status in segment_files(
                pictures,
                folder / "results",
                lambda image: assistant.segment(image, settings, stop.checked),
                limit,
            ):
                progress.add(status)
                yield progress.rows, gr.skip(), progress.line, folder
        except Stopped:
            progress.stop()
        archive = pack_results(progress.statuses, folder)
        yield progress.rows, archive and str(archive), progress.line, folder


class BatchProgress:
    """How far a batch is: its table and its status line."""

    def __init__(self, pictures: list[PictureFile], notes: Rows) -> None:
        """Start with all pictures waiting; notes: rows of what is not segmented at all."""
        self.statuses: list[FileStatus] = []
        self._names = [picture.name for picture in pictures]
        self._notes = notes
        self._stopped = False

    def add(self, status: FileStatus) -> None:
        """Take note of the next finished picture."""
        self.statuses.append(status)

    def stop(self) -> None:
        """Take note that no more will follow."""
        self._stopped = True

    @property
    def rows(self) -> Rows:
        """Return the table: finished, running, waiting, then what was passed over."""
        finished = [_row_of(status) for status in self.statuses]
        states = [STOPPED] * len(self._names) if self._stopped else [RUNNING]
        states += [WAITING] * len(self._names)
        left = zip(self._names[len(finished) :], states, strict=False)
        return [*finished, *([name, state, ""] for name, state in left), *self._notes]

    @property
    def line(self) -> str:
        """Return the counts."""
        failed = sum(not status.succeeded for status in self.statuses)
        failed += sum(row[1] == FAILED for row in self._notes)
        done = sum(status.succeeded for status in self.statuses)
        counts = f"{done} of {len(self._names)} done" + (f", {failed} failed" if failed else "")
        return f"Stopped: {counts}" if self._stopped else counts


def _row_of(status: FileStatus) -> list[str]:
    if not status.succeeded:
        return [status.name, FAILED, status.message]
    return [status.name, DONE, f"{status.message}, {status.seconds:.1f} s"]


def pack_results(statuses: list[FileStatus], folder: Path) -> Path | None:
    """Zip all result files under their stems; None where nothing succeeded."""
    written = [file for status in statuses if status.files for file in status.files]
    if not written:
        return None
    return pack(written, folder / "segdemo_results.zip", below=folder / "results")


def discard_folder(folder: Path | None) -> None:
    """Delete a finished batch's folder; a zip already handed out stays downloadable."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def rest(archive: str | None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """After work: updates for (start button, Stop button, download button)."""
    return *reset_buttons(), gr.update(interactive=archive is not None)


def build_batch_panel(assistant: AnnotationAssistant, options: Options) -> None:
    """Lay out the panel below the tab and wire it."""
    stop = gr.State(StopSignal())
    folder = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard_folder)
    with gr.Accordion("Many photos at once", open=False, elem_id="batch"):
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                files = gr.File(
                    file_count="multiple",
                    file_types=[*sorted(SUFFIXES), ".zip"],
                    label="Photos, or a zip of photos",
                    height=170,
                    elem_id="batch-files",
                )
                with gr.Row():
                    start = gr.Button(
                        "Segment all", variant="primary", scale=3, elem_id="segment-all"
                    )
                    halt = gr.Button("Stop", interactive=False, scale=1, min_width=90)
            with gr.Column(scale=7, min_width=320):
                status = gr.Markdown(READY, label="summary", elem_id="batch-status")
                table = gr.Dataframe(
                    headers=HEADERS,
                    datatype="str",
                    interactive=False,
                    wrap=True,
                    label="table",
                    show_label=False,
                    buttons=[],
                    column_widths=["29%", "22%", "49%"],
                    max_height=300,
                    elem_id="batch-table",
                )
                archive = gr.DownloadButton(
                    "Download all results", size="md", interactive=False, elem_id="take-batch"
                )
    run = start.click(arm_stop, stop, [start, halt], **QUIET).then(
        functools.partial(segment_many, assistant),
        [files, *options.all, stop, folder],
        [table, archive, status, folder],
        preprocess=False,
        show_progress="hidden",
        api_name="segment_batch",
        api_description=(
            "Segment several pictures or zips. Returns a table with a row a file, a zip of all "
            "results, and a line that counts them. soft=false cuts the masks at the threshold."
        ),
        **MODEL_QUEUE,
    )
    finally_(run, rest, archive, [start, halt, archive], **QUIET)
    halt.click(press_stop, stop, status, **QUIET)
