"""Names of downloads, what is kept of a result, and what is made of it."""

from __future__ import annotations

import base64
import io
import os
import zipfile
from dataclasses import replace
from itertools import pairwise
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.cutouts import Finish, Levels
from segdemo.datatypes import InputError
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import to_grey
from segdemo.ui.cutout.changes import change_mask, undo_change
from segdemo.ui.cutout.finishing import read_colour
from segdemo.ui.cutout.result_panel import build_result_panel, build_status
from segdemo.ui.cutout.results import (
    PREVIEW_SIDE,
    Segmented,
    cutout_preview,
    discard,
    keep,
    reduced,
    result_of,
    segment_upload,
    write_all_downloads,
    write_download,
)
from segdemo.ui.cutout.touching import painted_mask, refined_mask
from segdemo.ui.kept_files import file_stem, new_folder
from segdemo.ui.uploads import Upload, upload_name


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cat.jpg", "cat"),
        ("my photo (1).png", "my photo (1)"),
        ("Käse 奶酪.webp", "Käse 奶酪"),
        ("<b>x.png", "_b_x"),
        ('a"b:c.png', "a_b_c"),
        ("...", "picture"),
        ("x" * 300 + ".png", "x" * 180),
    ],
)
def test_stems_suit_every_file_system(name: str, stem: str) -> None:
    assert file_stem(upload_name(Upload(path="u", orig_name=name))) == stem


def test_an_uploads_folders_are_dropped() -> None:
    assert upload_name(Upload(path="u", orig_name="..\\..\\etc/cat.jpg")) == "cat.jpg"


@pytest.fixture(scope="module")
def segmented(
    assistant: AnnotationAssistant, tmp_path_factory: pytest.TempPathFactory
) -> Segmented:
    """A result of an image that is larger than its previews."""
    photo = tmp_path_factory.mktemp("upload") / "upload.png"
    pixels = np.zeros((1000, 1600, 3), np.uint8)
    pixels[200:800, 300:1300] = (200, 60, 40)
    Image.fromarray(pixels).save(photo)
    upload = Upload(path=str(photo), orig_name="night.png")
    settings = DiffDISSettings(ensemble=2)
    return segment_upload(assistant, upload, settings, lambda done, total: None)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_downloads_have_the_images_size_and_the_threshold(
    segmented: Segmented, threshold: float | None
) -> None:
    kept, finish = keep(segmented), Finish(Levels.cutting_at(threshold))
    mask = Image.open(write_download(kept, "mask", finish))
    result = segmented.result
    wanted = to_grey(result.mask) if threshold is None else result.binary(threshold) * 255
    np.testing.assert_array_equal(np.asarray(mask), wanted)
    archive = write_all_downloads(kept, finish)
    assert archive.name == "night_segdemo.zip"
    assert sorted(zipfile.ZipFile(archive).namelist()) == [
        f"night_{kind}.png" for kind in ("cutout", "edge", "mask", "uncertainty")
    ]
    discard(kept)
    with pytest.raises(InputError, match="press Segment again"):
        write_download(kept, "mask", finish)


def test_a_threshold_move_reads_and_writes_no_file(segmented: Segmented) -> None:
    kept = keep(segmented)
    discard(kept)
    with gr.Blocks():
        panel = build_result_panel(build_status())
    soft, hard = (panel.show_mask(kept, Finish(Levels.cutting_at(limit))) for limit in (None, 0.5))
    assert list(soft) == panel.changing
    assert soft[panel.compare][0] == hard[panel.compare][0]  # the photo
    shown = np.asarray(decoded(hard[panel.mask]))
    assert shown.shape == (800, PREVIEW_SIDE)
    sure = np.abs(kept.mask - 0.5) > 0.1
    np.testing.assert_array_equal(shown[sure] > 127, kept.mask[sure] > 0.5)


def test_changes_are_taken_back_one_by_one(
    segmented: Segmented, assistant: AnnotationAssistant
) -> None:
    kept = keep(segmented)
    masks = [result_of(kept).mask]
    for window in ([0.1, 0.1, 0.5, 0.5], [0.3, 0.2, 0.9, 0.7]):
        refined = refined_mask(assistant, kept, window, DiffDISSettings())
        kept = change_mask(kept, refined)
        masks.append(refined)
        np.testing.assert_array_equal(result_of(kept).mask, refined)
    masks.append(painted_mask(kept, [[0.2, 0.2], [0.4, 0.3]], 0.03, add=True))
    kept = change_mask(kept, masks[3])
    assert all((one != other).any() for one, other in pairwise(masks))
    np.testing.assert_array_equal(kept.mask, reduced(masks[3]))
    for before in reversed(masks[:3]):
        kept = undo_change(kept)
        np.testing.assert_array_equal(result_of(kept).mask, before)
    with pytest.raises(InputError, match="nothing to take back"):
        undo_change(kept)
    with pytest.raises(InputError, match="Draw a window first"):
        refined_mask(assistant, kept, None, DiffDISSettings())
    for points in ([], [[0.1]], [[float("nan"), 0]], "x"):
        with pytest.raises(InputError, match="list of points"):
            painted_mask(kept, points, 0.1, add=True)
    discard(kept)


def test_what_is_kept_in_memory_does_not_grow_with_the_image(segmented: Segmented) -> None:
    kept = keep(segmented)
    assert max(kept.image.shape) == max(kept.mask.shape) == PREVIEW_SIDE
    assert kept.image.nbytes + kept.mask.nbytes <= 7 * PREVIEW_SIDE**2
    discard(kept)


def test_a_cutout_preview_lies_over_a_checkerboard(segmented: Segmented) -> None:
    kept = replace(keep(segmented), mask=np.zeros((800, PREVIEW_SIDE), np.float32))
    assert set(np.unique(cutout_preview(kept, Finish()))) == {214, 246}
    full = replace(kept, mask=np.ones_like(kept.mask))
    np.testing.assert_array_equal(cutout_preview(full, Finish()), kept.image)
    discard(kept)


def decoded(value: dict[str, Any]) -> Image.Image:
    assert value["url"].startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(value["url"].split(",")[1])))


def test_what_nobody_took_away_is_deleted_after_a_day() -> None:
    old, young = new_folder(), new_folder()
    (old / "mask.png").write_bytes(b"x")
    os.utime(old, (0, 0))
    new_folder()
    assert not old.exists()
    assert young.exists()


def test_a_long_name_in_any_script_fits_a_file_system() -> None:
    stem = file_stem("猫" * 200 + ".jpg")
    assert stem.startswith("猫猫")
    assert len(stem.encode()) <= 180


@pytest.mark.parametrize(
    ("given", "colour"),
    [
        ("#0a141E", (10, 20, 30)),
        ("rgba(10.4, 20, 30, 1)", (10, 20, 30)),
        ("rgb(255, 0, 1)", (255, 0, 1)),
        (None, (255, 255, 255)),
    ],
)
def test_a_colour_picker_is_read(given: object, colour: tuple[int, int, int]) -> None:
    assert read_colour(given) == colour


@pytest.mark.parametrize("given", ["red", "rgb(300, 0, 0)", "rgb(1, 2)", "#12"])
def test_what_is_no_colour_is_named(given: str) -> None:
    with pytest.raises(InputError, match="such as #ffffff"):
        read_colour(given)
