"""The batch panel: many photos or a zip in, a table that fills while it runs, one zip out."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.batch import FileStatus, segment_files
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.files import ImageFile
from segdemo.images import SUFFIXES
from segdemo.ui.cutout.options import Options
from segdemo.ui.errors import Stopped, user_errors, without_folders
from segdemo.ui.events import IN_ORDER, MODEL_RUNS, StopSignal, Updates, wire_run
from segdemo.ui.kept_files import RESULT_SECONDS, download_folder, new_folder, pack
from segdemo.ui.photo_field import run_and_stop
from segdemo.ui.uploads import FAILED, Rows, Upload, collect
from segdemo.ui.waiting import Place, follow

HEADERS = ["File", "Status", "Details"]
WAITING, RUNNING, DONE = "waiting", "running", "done"
STOPPED = "stopped"
THUMBNAIL_SIDE = 240  # pixels
READY = "Add photos, then press Segment all. The settings under *Advanced* apply."


def segment_many(
    assistant: AnnotationAssistant,
    files: list[Upload],
    settings: DiffDISSettings,
    threshold: float | None,
    stop: StopSignal,
    folder: Path,
    model: str = "",
) -> Generator[BatchProgress, None, None]:
    """Segment files one by one into `folder`, yielding how far it is before and after each.

    A file that fails is a row of the table and the rest goes on.
    """
    images, rows = collect(files, folder / "uploads")
    progress = BatchProgress(images, rows)
    yield progress
    try:
        for status in segment_files(
            images,
            folder / "results",
            lambda image: assistant.segment(image, settings, stop.checked, model=model),
            threshold,
        ):
            progress.add(status)
            yield progress
    except Stopped:
        progress.stop()
        yield progress


@dataclass(frozen=True)
class BatchResult:
    """An image of a batch with its files."""

    name: str
    photo: Path
    mask: Path
    edge: Path
    cutout: Path

    def thumbnail(self) -> Path:
        """Return a small copy of the cut-out beside it, made when first asked for."""
        path = self.cutout.with_suffix(".thumbnail.webp")
        if not path.exists():
            with Image.open(self.cutout) as cutout:
                cutout.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
                cutout.save(path, quality=80)
        return path


class BatchProgress:
    """How far a batch is: its table and its status line."""

    def __init__(self, images: list[ImageFile], notes: Rows) -> None:
        """Start with all images waiting; notes: rows of what is not segmented at all.

        place: where the next image is in the line for the models.
        """
        self.statuses: list[FileStatus] = []
        self._images = images
        self._names = [image.name for image in images]
        self._notes = notes
        self._stopped = False
        self.place = Place(0)

    def add(self, status: FileStatus) -> None:
        """Take note of the next finished image."""
        self.statuses.append(status)

    def stop(self) -> None:
        """Take note that no more will follow."""
        self._stopped = True

    @property
    def results(self) -> list[BatchResult]:
        """Return what succeeded so far."""
        return [
            BatchResult(image.name, image.path, *status.files)
            for image, status in zip(self._images, self.statuses, strict=False)
            if status.files is not None
        ]

    @property
    def rows(self) -> Rows:
        """Return the table: finished, running, waiting, then what was skipped."""
        finished = [_row_of(status) for status in self.statuses]
        states = [WAITING if self.place.before else RUNNING]
        if self._stopped:
            states = [STOPPED] * len(self._names)
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
        if self._stopped:
            return f"Stopped: {counts}"
        return f"{counts}. {self.place.words}" if self.place.before else counts


def _row_of(status: FileStatus) -> list[str]:
    if not status.succeeded:
        return [status.name, FAILED, without_folders(status.message)]
    return [status.name, DONE, f"{status.message}, {status.seconds:.1f} s"]


def pack_results(statuses: list[FileStatus], folder: Path) -> Path | None:
    """Zip all result files under their stems; None where nothing succeeded."""
    written = [file for status in statuses if status.files for file in status.files]
    if not written:
        return None
    return pack(written, download_folder() / "segdemo_results.zip", below=folder / "results")


def discard_folder(folder: Path | None) -> None:
    """Delete a finished batch's folder; a zip already handed out stays downloadable."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class BatchPanel:
    """The panel's components, and what a session remembers of it."""

    files: gr.File
    status: gr.Markdown
    table: gr.Dataframe
    gallery: gr.Gallery
    archive: gr.DownloadButton
    send: gr.Button
    stop: gr.State
    folder: gr.State
    results: gr.State
    picked: gr.State


def build_batch_panel(assistant: AnnotationAssistant, options: Options) -> BatchPanel:
    """Lay out the panel below the tab and wire it; `send` is for who takes a result on."""
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
                buttons = run_and_stop("Segment all", "segment-all", "batch-stop")
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
                with gr.Row():
                    archive = gr.DownloadButton(
                        "Download all results", size="md", interactive=False, elem_id="take-batch"
                    )
                    send = gr.Button(
                        "Send the chosen one to Refine",
                        size="md",
                        interactive=False,
                        elem_id="send-batch",
                    )
        gallery = gr.Gallery(
            label="Cut-outs: choose one",
            columns=6,
            height="auto",
            allow_preview=False,
            object_fit="contain",
            interactive=False,
            buttons=[],
            visible=False,
            elem_id="batch-gallery",
        )
    folder = gr.State(None, time_to_live=RESULT_SECONDS, delete_callback=discard_folder)
    panel = BatchPanel(
        *(files, status, table, gallery, archive, send),
        *(gr.State(StopSignal()), folder, gr.State([]), gr.State(None)),
    )
    wire_run(
        buttons,
        panel.stop,
        status,
        functools.partial(run_batch, assistant, options, panel),
        {files, *options.all, panel.stop, folder},
        [table, gallery, archive, send, status, folder, panel.results, panel.picked],
        show_progress="hidden",
        **MODEL_RUNS,
    )
    gallery.select(pick, None, [panel.picked, send], **IN_ORDER)
    return panel


def pick(event: gr.SelectData) -> tuple[int, Any]:
    """Note which result was chosen."""
    return int(event.index), gr.update(interactive=True)


def run_batch(
    assistant: AnnotationAssistant,
    options: Options,
    panel: BatchPanel,
    values: Mapping[Any, Any],
) -> Iterator[Updates]:
    """Segment what was uploaded; the table grows, and at the end there is a zip."""
    with user_errors():
        settings = options.settings.read(values)
        threshold, model = options.read_threshold(values), str(values[options.model] or "")
        discard_folder(values[panel.folder])
        folder = new_folder()
        yield {
            panel.folder: folder,
            panel.archive: gr.update(value=None, interactive=False),
            panel.send: gr.update(interactive=False),
            panel.gallery: gr.update(value=None, visible=False),
            panel.results: [],
            panel.picked: None,
        }
        shown = 0
        uploads, progress = values[panel.files] or [], None

        def work(signal: StopSignal) -> Generator[BatchProgress, None, None]:
            return segment_many(assistant, uploads, settings, threshold, signal, folder, model)

        for news in follow(work, values[panel.stop]):
            if isinstance(news, BatchProgress):
                progress = news
            elif progress and news:
                progress.place = news
            if progress and news:
                updates = {panel.table: progress.rows, panel.status: progress.line}
                results = progress.results
                if len(results) > shown:
                    shown = len(results)
                    thumbnails = [(str(one.thumbnail()), one.name) for one in results]
                    updates |= {
                        panel.gallery: gr.update(value=thumbnails, visible=True),
                        panel.results: results,
                    }
                yield updates
            else:
                yield gr.skip()
        archive = progress and pack_results(progress.statuses, folder)
        if archive is not None:
            yield {panel.archive: gr.update(value=str(archive), interactive=True)}
