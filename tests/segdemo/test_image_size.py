"""`image_size`: what `load_rgb` gives, told from the header."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from segdemo.datatypes import InputError
from segdemo.images import image_size, load_rgb

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def encode(file_format: str = "PNG", **options: object) -> bytes:
    """Return a file of 30 x 20 pixels of noise."""
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, file_format, **options)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def behind_the_pixels(png: bytes, kind: bytes, body: bytes) -> bytes:
    """Put a chunk between a PNG's pixels and its end."""
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return png[:-12] + struct.pack(">I", len(body)) + kind + body + crc + png[-12:]


def size_of(data: bytes) -> tuple[int, int]:
    """Return the size, which both ways of finding it must agree on."""
    height, width, _ = load_rgb(io.BytesIO(data)).shape
    assert image_size(io.BytesIO(data)) == (height, width)
    return height, width


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_have_the_size_they_are_shown_in(file_format: str, orientation: int):
    upright = (30, 20) if orientation >= 5 else (20, 30)
    assert size_of(encode(file_format, exif=turned(orientation))) == upright


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_orientation_in_xmp_counts(orientation: int):
    upright = (30, 20) if orientation == 6 else (20, 30)
    text = XMP.format(orientation)
    for file_format in ("JPEG", "WEBP"):
        assert size_of(encode(file_format, xmp=text.encode())) == upright
    assert size_of(encode("TIFF", tiffinfo={700: text.encode()})) == upright
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text)
    assert size_of(encode(pnginfo=info)) == upright


def test_a_png_may_say_behind_its_pixels_that_it_is_turned():
    exif = turned(6).tobytes().removeprefix(b"Exif\0\0")
    assert size_of(behind_the_pixels(encode(), b"eXIf", exif)) == (30, 20)
    assert size_of(behind_the_pixels(encode(), b"tEXt", b"Comment\0hello")) == (20, 30)


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "PPM"])
def test_formats_without_metadata(file_format: str):
    assert size_of(encode(file_format)) == (20, 30)


@pytest.mark.filterwarnings("ignore")  # Pillow's remark on the metadata
def test_damaged_exif_counts_as_none():
    assert size_of(encode("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")) == (20, 30)


def test_the_pixels_are_not_looked_at(tmp_path: Path):
    for file_format in ("PNG", "JPEG"):
        data = encode(file_format)
        (tmp_path / "cut").write_bytes(data[: len(data) * 3 // 4])
        assert image_size(tmp_path / "cut") == (20, 30)


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", encode()[:20], encode("JPEG")[:12]],
    ids=["empty", "text", "cut PNG", "cut JPEG"],
)
def test_broken_files_are_refused_as_load_rgb_refuses_them(content: bytes, tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    refusals = []
    for read in (load_rgb, image_size):
        with pytest.raises(InputError) as refusal:
            read(path, "photos/a.png")
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]
    assert refusals[0].startswith("photos/a.png ")


def test_files_that_are_not_there_and_folders(tmp_path: Path):
    with pytest.raises(InputError, match=r"a\.png does not exist"):
        image_size(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a folder"):
        image_size(tmp_path)
