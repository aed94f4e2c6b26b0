"""The endpoints `/segment` and `/segment_batch`, for programs."""

# No `from __future__ import annotations`: Gradio reads the types of an endpoint's results as
# objects, not as text

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.ui.cutout.batch import HEADERS, pack_results, segment_many
from segdemo.ui.cutout.options import read_threshold
from segdemo.ui.cutout.results import segment_upload, write_files
from segdemo.ui.errors import user_errors
from segdemo.ui.events import MODEL_RUNS, StopSignal
from segdemo.ui.forms import read_settings
from segdemo.ui.kept_files import download_folder
from segdemo.ui.uploads import received, served


def build_segment_api(assistant: AnnotationAssistant) -> None:
    """Offer `/segment` and `/segment_batch`."""
    defaults = assistant.segment_defaults

    def segment(
        photo: gr.FileData,
        size: float = defaults.size,
        seed: float = defaults.seed,
        augment: bool = defaults.augment,
        ensemble: float = defaults.ensemble,
        soft: bool = True,
        threshold: float = 0.5,
        follow: bool = defaults.follow,
        second_opinion: bool = defaults.second_opinion,
    ) -> tuple[gr.FileData, gr.FileData, gr.FileData, dict[str, Any]]:
        """Segment one image.

        Returns mask and edge (8-bit PNG of its size), the cut-out (RGBA PNG), and what there is to
        say of them. soft=false cuts the mask at the threshold.
        """
        given = {
            "size": size,
            "seed": seed,
            "augment": augment,
            "ensemble": ensemble,
            "follow": follow,
            "second_opinion": second_opinion,
        }
        with user_errors():
            limit = read_threshold(soft, threshold)
            settings = read_settings(given, defaults)
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
        size: float = defaults.size,
        seed: float = defaults.seed,
        augment: bool = defaults.augment,
        ensemble: float = defaults.ensemble,
        soft: bool = True,
        threshold: float = 0.5,
        follow: bool = defaults.follow,
        second_opinion: bool = defaults.second_opinion,
    ) -> tuple[dict[str, Any], gr.FileData | None, str]:
        """Segment several images or zips.

        Returns a table with a row a file, a zip of all results, and a line that counts them.
        soft=false cuts the masks at the threshold.
        """
        given = {
            "size": size,
            "seed": seed,
            "augment": augment,
            "ensemble": ensemble,
            "follow": follow,
            "second_opinion": second_opinion,
        }
        with user_errors(), tempfile.TemporaryDirectory() as place:
            settings, folder = read_settings(given, defaults), Path(place)
            uploads = [upload for file in files or [] if (upload := received(file))]
            *_, progress = segment_many(
                assistant, uploads, settings, read_threshold(soft, threshold), StopSignal(), folder
            )
            archive = pack_results(progress.statuses, folder)
            table = {"headers": HEADERS, "data": progress.rows, "metadata": None}
            return table, archive and served(archive), progress.line

    gr.api(segment, api_name="segment", **MODEL_RUNS)
    gr.api(segment_batch, api_name="segment_batch", **MODEL_RUNS)
