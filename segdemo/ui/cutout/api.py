"""The endpoints `/segment` and `/segment_batch`, for programs."""

# No `from __future__ import annotations`: Gradio reads the types of an endpoint's results as
# objects, not as text

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.ui.cutout.batch import HEADERS, pack_results, segment_many
from segdemo.ui.cutout.options import read_threshold
from segdemo.ui.cutout.results import segment_upload, write_files
from segdemo.ui.endpoints import with_settings
from segdemo.ui.errors import user_errors
from segdemo.ui.events import MODEL_RUNS, StopSignal
from segdemo.ui.kept_files import download_folder
from segdemo.ui.uploads import received, served

FIRST = ("size", "seed", "augment", "ensemble")  # the settings before soft and threshold


def build_segment_api(assistant: AnnotationAssistant) -> None:
    """Offer `/segment` and `/segment_batch`."""

    def segment(
        photo: gr.FileData, settings: DiffDISSettings, soft: bool = True, threshold: float = 0.5
    ) -> tuple[gr.FileData, gr.FileData, gr.FileData, dict[str, Any]]:
        """Segment one image.

        Returns mask and edge (8-bit PNG of its size), the cut-out (RGBA PNG), and what there is to
        say of them. soft=false cuts the mask at the threshold.
        """
        with user_errors():
            limit = read_threshold(soft, threshold)
            segmented = segment_upload(assistant, received(photo), settings, lambda *_: None)
            mask, edge, cutout = map(served, write_files(segmented, limit, download_folder()))
            info = {
                "name": segmented.name,
                "summary": segmented.summary,
                "found_something": segmented.result.found_something,
            }
            return mask, edge, cutout, info

    def segment_batch(
        files: list[gr.FileData],
        settings: DiffDISSettings,
        soft: bool = True,
        threshold: float = 0.5,
    ) -> tuple[dict[str, Any], gr.FileData | None, str]:
        """Segment several images or zips.

        Returns a table with a row a file, a zip of all results, and a line that counts them.
        soft=false cuts the masks at the threshold.
        """
        with user_errors(), tempfile.TemporaryDirectory() as place:
            uploads = [upload for file in files or [] if (upload := received(file))]
            folder, limit = Path(place), read_threshold(soft, threshold)
            stop = StopSignal()
            *_, progress = segment_many(assistant, uploads, settings, limit, stop, folder)
            archive = pack_results(progress.statuses, folder)
            table = {"headers": HEADERS, "data": progress.rows, "metadata": None}
            return table, archive and served(archive), progress.line

    for endpoint in (segment, segment_batch):
        offered = with_settings(endpoint, assistant.segment_defaults, FIRST)
        gr.api(offered, api_name=endpoint.__name__, **MODEL_RUNS)
