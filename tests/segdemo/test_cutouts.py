"""Haze, backgrounds, trimming and formats of a cut-out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.cutouts import Finish, Levels, over_background, paint
from segdemo.datatypes import InputError

IMAGE = np.full((8, 12, 3), (200, 100, 0), np.uint8)
MASK = np.zeros((8, 12), np.float32)
MASK[:, 0] = 0.04  # haze
MASK[2:6, 3:9] = 1
MASK[2:6, 9] = 0.5  # a soft border


@pytest.mark.parametrize(
    ("low", "high", "given", "wanted"),
    [
        (0, 1, [0, 0.3, 1], [0, 0.3, 1]),
        (0.2, 0.6, [0, 0.2, 0.4, 0.6, 0.9], [0, 0, 0.5, 1, 1]),
        (0.5, 0.5, [0.4, 0.5, 0.51], [0, 0, 1]),
    ],
)
def test_levels_stretch_alpha(
    low: float, high: float, given: list[float], wanted: list[float]
) -> None:
    applied = Levels(low, high).apply(np.array([given], np.float32))
    assert applied.dtype == np.float32
    np.testing.assert_allclose(applied, [wanted], atol=1e-6)


def test_levels_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InputError, match="must not exceed"):
        Levels(0.7, 0.2)


def test_a_background_shows_through_in_proportion() -> None:
    blue = over_background(IMAGE, MASK, (0, 0, 255))
    assert blue[3, 5].tolist() == [200, 100, 0]
    assert blue[3, 9].tolist() == [100, 50, 128]
    assert blue[0, 11].tolist() == [0, 0, 255]
    # a photo of another shape is cropped, not squeezed: its middle stays in the middle
    photo = np.zeros((8, 40, 3), np.uint8)
    photo[:, 19:21] = 255
    fitted = over_background(IMAGE, np.zeros_like(MASK), photo)
    assert fitted.shape == IMAGE.shape
    assert (fitted[:, 5:7] == 255).all() and (fitted[:, [0, 11]] == 0).all()


def test_trimming_keeps_the_soft_border_and_leaves_haze_out() -> None:
    trimmed = Finish(trim=True).cut(IMAGE, MASK)
    assert trimmed.shape == (4, 7, 4)
    assert trimmed[0, -1, 3] == 127
    assert Finish(trim=True).cut(IMAGE, np.zeros_like(MASK)).shape == (8, 12, 4)


@pytest.mark.parametrize(
    ("finish", "ending", "mode"),
    [
        (Finish(), ".png", "RGBA"),
        (Finish(file_format="webp"), ".webp", "RGBA"),
        (Finish(file_format="jpeg"), ".jpg", "RGB"),
        (Finish(background=(9, 9, 9)), ".png", "RGB"),
    ],
)
def test_formats_are_written_as_other_programs_read_them(
    finish: Finish, ending: str, mode: str, tmp_path: Path
) -> None:
    path = finish.write(IMAGE, MASK, tmp_path, "cat_cutout")
    assert path.name == f"cat_cutout{ending}"
    with Image.open(path) as read:
        assert (read.mode, read.size) == (mode, (12, 8))
        corner = np.asarray(read)[7, 11]
    if mode == "RGBA":
        assert corner[3] == 0
    elif finish.background is None:
        assert (corner > 240).all()  # white


@pytest.mark.parametrize("add", [True, False])
def test_a_soft_brush_changes_only_where_it_is_stronger(add: bool) -> None:
    mask = np.random.default_rng(3).random((40, 60), np.float32)
    stroke = np.array([[10.0, 12.0], [30.0, 12.0], [30.0, 60.0]])  # leaves the image
    painted = paint(mask, stroke, 8, add)
    rows, columns = np.mgrid[:40, :60]
    on_first = np.hypot(rows - 12, columns - columns.clip(10, 30))
    on_second = np.hypot(rows - rows.clip(12, 60), columns - 30)
    distance = np.minimum(on_first, on_second)
    solid = 1.0 if add else 0.0
    assert (painted[distance <= 4] == solid).all()
    np.testing.assert_array_equal(painted[distance >= 8], mask[distance >= 8])
    between = (distance > 4) & (distance < 8)
    brush = (2 - 2 * distance / 8)[between]
    wanted = np.maximum(mask[between], brush) if add else np.minimum(mask[between], 1 - brush)
    np.testing.assert_allclose(painted[between], wanted, atol=1e-6)
    outside = np.array([[500.0, 500.0]])
    np.testing.assert_array_equal(paint(mask, outside, 3, add), mask)
