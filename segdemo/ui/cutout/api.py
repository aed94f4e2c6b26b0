"""The endpoints `/segment`, `/segment_batch` and `/refine_window`, for programs."""

# No `from __future__ import annotations`: Gradio reads the types of an endpoint's results as
# objects, not as text

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from segdemo.assistant import AnnotationAssistant
from segdemo.cutouts import Finish, Levels
from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.files import write_png
from segdemo.images import load_rgb, to_grey
from segdemo.ui.cutout.batch import HEADERS, pack_results, segment_many
from segdemo.ui.cutout.options import read_threshold
from segdemo.ui.cutout.results import segment_upload, write_files
from segdemo.ui.cutout.touching import read_box
from segdemo.ui.endpoints import with_settings
from segdemo.ui.errors import user_errors
from segdemo.ui.events import MODEL_RUNS, StopSignal
from segdemo.ui.kept_files import download_folder, file_stem
from segdemo.ui.uploads import Upload, received, served, upload_name

FIRST = ("size", "seed", "augment", "ensemble")  # the settings before soft and threshold


def build_segment_api(assistant: AnnotationAssistant) -> None:
    """Offer `/segment`, `/segment_batch` and `/refine_window`."""

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
            finish = Finish(Levels.cutting_at(limit))
            mask, edge, cutout = map(served, write_files(segmented, finish, download_folder()))
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

    def refine_window(
        photo: gr.FileData, mask: gr.FileData, box: list[float], settings: DiffDISSettings
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Look again at a part of an image, from its mask so far.

        A model that does not start from a mask leaves it to the prompter, for which the settings
        mean nothing. mask: a grey image of the photo's size, such as `/segment` returns. box: left,
        top, right, bottom in pixels. Returns the mask with the answer blended in (8-bit PNG), and
        its name.
        """
        with user_errors():
            upload, given = received(photo), received(mask)
            if upload is None or given is None:
                raise InputError("Send an image as `photo` and its mask as `mask`.")
            name = upload_name(upload)
            image = load_rgb(upload["path"], name)
            known = _read_mask(given, image, name)
            refined = assistant.refine_window(image, known, read_box(box), settings)
            file = download_folder() / f"{file_stem(name)}_mask.png"
            write_png(to_grey(refined), file)
            return served(file), {"name": name}

    for endpoint in (segment, segment_batch, refine_window):
        offered = with_settings(endpoint, assistant.segment_defaults, FIRST)
        gr.api(offered, api_name=endpoint.__name__, **MODEL_RUNS)


def _read_mask(upload: Upload, image: RGBImage, photo: str) -> FloatMap:
    """Read a grey mask (H, W) in [0, 1] of an image; raises InputError for another size."""
    name = upload_name(upload)
    mask: FloatMap = (load_rgb(upload["path"], name)[..., 0] / 255).astype(np.float32)
    if mask.shape != image.shape[:2]:
        (height, width), (rows, columns) = mask.shape, image.shape[:2]
        raise InputError(
            f"{name} is {width} x {height}, {photo} {columns} x {rows}: send a mask of the photo's "
            "size."
        )
    return mask
