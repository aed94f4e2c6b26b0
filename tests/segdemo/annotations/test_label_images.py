"""One reader of label images, for Refine, for the instance check and for evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.annotations.stored_ids import read_label_image
from segdemo.datatypes import InputError, Labels

IDS = np.array([[0, 1, 1], [7, 7, 0]])
Read = Callable[[Image.Image, str], Labels]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def written_and_read(image: Image.Image, name: str) -> Labels:
        image.save(tmp_path / name)
        return read_label_image(tmp_path / name, name)

    return written_and_read


def palette_image(ids: np.ndarray, colours: list[int]) -> Image.Image:
    image = Image.fromarray(ids.astype(np.uint8), "P")
    image.putpalette(colours)
    return image


def test_ids_are_read_as_they_are_stored(read: Read):
    one_colour_for_two_ids = palette_image(IDS, [0, 0, 0] + [90, 90, 90] * 7)
    np.testing.assert_array_equal(read(one_colour_for_two_ids, "palette.png"), IDS)
    np.testing.assert_array_equal(read(Image.fromarray(IDS.astype(np.uint8)), "grey.png"), IDS)
    deep = Image.fromarray((IDS * 300).astype(np.uint16))
    np.testing.assert_array_equal(read(deep, "deep.tif"), IDS * 300)


def test_colours_are_ids_as_in_panoptic_images_and_black_is_the_background(read: Read):
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[IDS == 1], colours[IDS == 7] = (9, 1, 0), (0, 0, 2)
    read_label_image = read(Image.fromarray(colours), "colours.png")
    np.testing.assert_array_equal(read_label_image, [[0, 265, 265], [131072, 131072, 0]])


def test_the_border_of_voc_is_background(read: Read):
    ids = np.array([[1, 255, 2]])
    voc = palette_image(ids, [0, 0, 0] * 255 + [224, 224, 192])
    np.testing.assert_array_equal(read(voc, "voc.png"), [[1, 0, 2]])


def test_what_is_not_a_label_image_is_named(read: Read, tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    with pytest.raises(InputError, match=r"noise\.png holds \d{4} colours, which looks"):
        read(Image.fromarray(noise), "noise.png")
    with pytest.raises(InputError, match=r"photo\.jpg is not a label image: save it as PNG"):
        read(Image.fromarray(noise), "photo.jpg")
    (tmp_path / "cut.png").write_bytes((tmp_path / "noise.png").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut\.png is damaged"):
        read_label_image(tmp_path / "cut.png", "cut.png")
