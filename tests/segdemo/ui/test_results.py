"""Names of downloads, and results that survive on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.ui.cutout.results import discard, segment_upload, view_of
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


def test_a_kept_result_is_drawn_again_without_the_model(
    tiny_diffdis_folder: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "upload.png"
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(photo)
    kept = segment_upload(
        AnnotationAssistant(str(tiny_diffdis_folder), device="cpu"),
        Upload(path=str(photo), orig_name="night.png"),
        DiffDISSettings(ensemble=2),
        lambda done, total: None,
    )
    soft = view_of(kept, None)
    grey = np.asarray(Image.open(soft.mask))
    assert soft.uncertainty is not None and soft.uncertainty.name == "night_uncertainty.png"
    hard = view_of(kept, 0.5)
    certain = grey != 127  # 127 of 255 holds values on either side of 0.5
    cut = np.asarray(Image.open(hard.mask)) > 0
    np.testing.assert_array_equal(cut[certain], grey[certain] > 127)
    discard(kept)
    with pytest.raises(InputError, match="press Segment again"):
        view_of(kept, None)


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
