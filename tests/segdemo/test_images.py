"""Reading pictures of every kind, good and bad, and turning maps into pictures."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from scipy import ndimage

from segdemo import images
from segdemo.datatypes import InputError
from segdemo.images import (
    FORMATS,
    cut_out,
    load_rgb,
    mask_contour,
    resize_map,
    to_grey,
)

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)


def encode(picture: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    """Return a picture's file as bytes."""
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def two_pixels(mode: str, left: object, right: object) -> Image.Image:
    """Make a picture of two pixels side by side."""
    picture = Image.new(mode, (2, 1))
    picture.putpixel((0, 0), left)
    picture.putpixel((1, 0), right)
    return picture


def palette_picture() -> Image.Image:
    picture = two_pixels("P", 0, 1)
    picture.putpalette([*RED, *GREEN])
    return picture


def noise(height: int = 60, width: int = 80) -> Image.Image:
    """Make a picture that no coder can shorten, so that a cut always hits its pixels."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def png_header(width: int, height: int) -> bytes:
    """Write a PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


GREY_16 = Image.fromarray(np.array([[0, 128 << 8, 65535]], np.uint16))
INT_32 = Image.fromarray(np.array([[-1_000_000, 0, 1_000_000]], np.int32))
FLOATS = Image.fromarray(np.array([[-2.0, 0.0, 2.0]], np.float32))
GREYS = [BLACK, (128,) * 3, WHITE]
STRETCHED = [BLACK, (127,) * 3, WHITE]

READABLE = {
    "RGB": (encode(two_pixels("RGB", RED, GREEN)), [RED, GREEN]),
    "grey": (encode(two_pixels("L", 0, 90)), [BLACK, (90, 90, 90)]),
    "1 bit": (encode(two_pixels("1", 0, 1)), [BLACK, WHITE]),
    "1 bit, black made transparent": (
        encode(two_pixels("1", 0, 1), transparency=0),
        [WHITE, WHITE],
    ),
    "grey with alpha": (encode(two_pixels("LA", (0, 255), (0, 0))), [BLACK, WHITE]),
    "RGB with alpha": (encode(two_pixels("RGBA", (*RED, 255), (*GREEN, 0))), [RED, WHITE]),
    "half transparent": (
        encode(two_pixels("RGBA", (*RED, 255), (*BLACK, 51))),
        [RED, (204, 204, 204)],
    ),
    "one colour made transparent": (
        encode(two_pixels("RGB", RED, GREEN), transparency=GREEN),
        [RED, WHITE],
    ),
    "palette": (encode(palette_picture()), [RED, GREEN]),
    "palette, one entry transparent": (
        encode(palette_picture(), transparency=1),
        [RED, WHITE],
    ),
    "palette, alpha by entry": (
        encode(palette_picture(), transparency=bytes([255, 0])),
        [RED, WHITE],
    ),
    "16-bit grey PNG": (encode(GREY_16), GREYS),
    "16-bit grey TIFF": (encode(GREY_16, "TIFF"), GREYS),
    "16-bit big-endian TIFF": (encode(GREY_16, "TIFF", big_endian=True), GREYS),
    "16-bit grey PGM": (b"P5 3 1 65535\n\0\0\x80\0\xff\xff", GREYS),
    "32-bit integer TIFF": (encode(INT_32, "TIFF"), STRETCHED),
    "float TIFF": (encode(FLOATS, "TIFF"), STRETCHED),
    "constant float TIFF": (encode(Image.new("F", (2, 1), 7.0), "TIFF"), [BLACK, BLACK]),
    "CMYK TIFF": (encode(two_pixels("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "TIFF"), [RED, WHITE]),
    "1 x 1": (encode(Image.new("RGB", (1, 1), RED)), [RED]),
}


@pytest.mark.parametrize("case", READABLE)
def test_every_kind_of_still_picture_comes_in_as_rgb(case: str):
    data, expected = READABLE[case]
    image = load_rgb(io.BytesIO(data))
    assert image.dtype == np.uint8
    assert image.tolist() == [[list(pixel) for pixel in expected]]


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_named_format_opens(tmp_path: Path, file_format: str):
    path = tmp_path / "picture"
    Image.new("RGB", (9, 7), RED).save(path, file_format)
    image = load_rgb(path)
    assert image.shape == (7, 9, 3)
    assert np.abs(image[3, 4].astype(int) - RED).max() <= 3  # JPEG and WebP round


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_of_fewer_bits_than_its_file_is_stretched_and_told(bits: int):
    top = (1 << bits) - 1
    grey = Image.fromarray(np.array([[0, top // 2, top]], np.uint16))
    told: list[str] = []
    image = load_rgb(io.BytesIO(encode(grey)), "dark.png", told.append)
    assert image[0, :, 0].tolist() == [0, 127, 255]
    assert told == [] if bits == 16 else f"dark.png has grey of {bits} bits" in told[0]


def test_heic_without_its_decoder_names_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "FORMATS", ("PNG",))  # as where pillow-heif is not installed
    with pytest.raises(InputError, match=r"IMG_1\.HEIC is a HEIC image: install pillow-heif"):
        load_rgb(io.BytesIO(b"\0\0\0\x18ftypheic" + bytes(99)), "IMG_1.HEIC")


def test_a_cmyk_jpeg_keeps_its_colour():
    image = load_rgb(io.BytesIO(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")))
    assert np.abs(image[8, 8].astype(int) - RED).max() <= 5


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(file_format: str, orientation: int):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = 255  # a white corner at the top left tells all eight apart, with the shape
    upright[:8, 16:] = 120
    as_stored = {  # what a camera stores so that the viewer's turn by this orientation undoes it
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(as_stored[orientation](upright)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = load_rgb(io.BytesIO(encode(stored, file_format, exif=exif)))
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 4  # lossy coders ring at the corner


@pytest.mark.filterwarnings("ignore")  # Pillow's remark on the metadata
def test_damaged_exif_leaves_the_pixels_readable():
    data = encode(noise(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert load_rgb(io.BytesIO(data)).shape == (60, 80, 3)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture_is_taken(file_format: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(frames[0], file_format, save_all=True, append_images=frames[1:], **lossless)
    assert load_rgb(io.BytesIO(data))[4, 4].tolist() == list(RED)


@pytest.mark.parametrize("size", [(20_000, 10), (10, 20_000), (40_000, 1)])
def test_extreme_shapes_are_welcome(size: tuple[int, int]):
    assert load_rgb(io.BytesIO(encode(Image.new("L", size)))).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", [(40_001, 1_000), (20_000, 20_000), (2_000_000, 2_000_000)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(InputError, match=r"^bomb.png has more than 40 million .*: reduce"):
            load_rgb(io.BytesIO(png_header(*size)), "bomb.png")


def test_pillows_own_bomb_warning_raised_as_an_error_is_the_same_refusal():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="40 million"):
            load_rgb(io.BytesIO(png_header(10_000, 10_000)), "bomb.png")


def test_the_limit_itself_is_allowed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 12)
    assert load_rgb(io.BytesIO(encode(Image.new("L", (4, 3))))).shape == (3, 4, 3)
    with pytest.raises(InputError, match="reduce"):
        load_rgb(io.BytesIO(encode(Image.new("L", (13, 1)))))


DAMAGED = "damaged or incomplete: copy or download it again"
NO_PICTURE = "not an image that can be read here.*PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF or PPM"
NOT_FINITE = Image.fromarray(np.array([[0, np.nan]], np.float32))
UNREADABLE = {
    "nothing.png": (b"", "empty"),
    "letter.png": (b"Dear reader,\nthis is no picture.\n" * 50, NO_PICTURE),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9"/>', NO_PICTURE),
    "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n", NO_PICTURE),
    "print.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NO_PICTURE),
    "start.png": (encode(noise())[:20], "damaged"),
    "half.png": (half(encode(noise())), DAMAGED),
    "half.jpg": (half(encode(noise(), "JPEG")), DAMAGED),
    "half.webp": (half(encode(noise(), "WEBP", lossless=True)), "damaged"),
    "half.gif": (half(encode(noise(), "GIF")), DAMAGED),
    "half.tif": (half(encode(noise(), "TIFF")), "damaged"),
    "half.bmp": (half(encode(noise(), "BMP")), DAMAGED),
    "half.ppm": (half(encode(noise(), "PPM")), DAMAGED),
    "holes.tif": (encode(NOT_FINITE, "TIFF"), "not numbers: save it as"),
    "lab.tif": (encode(Image.new("LAB", (2, 2)), "TIFF"), "CIELAB colours: save it with RGB"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_gets_one_sentence_with_its_name(tmp_path: Path, name: str):
    data, message = UNREADABLE[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as refusal:
        load_rgb(tmp_path / name)
    sentence = str(refusal.value)
    assert sentence.startswith(name)
    assert sentence.endswith(".") and "\n" not in sentence
    assert str(tmp_path) not in sentence


def test_a_name_given_stands_for_the_path(tmp_path: Path):
    (tmp_path / "a1b2").write_bytes(b"")
    with pytest.raises(InputError, match=r"^holiday\.jpg is empty"):
        load_rgb(tmp_path / "a1b2", "holiday.jpg")
    with pytest.raises(InputError, match=r"^The image is empty"):
        load_rgb(io.BytesIO(b""))


def test_missing_files_and_folders_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"^cat\.jpg does not exist: check"):
        load_rgb(tmp_path / "cat.jpg")
    with pytest.raises(InputError, match="is a folder: name an image"):
        load_rgb(str(tmp_path))
    with pytest.raises(InputError, match="cannot be opened"):
        load_rgb(tmp_path / ("x" * 300 + ".png"))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path):
    path = tmp_path / "secret.png"
    path.write_bytes(encode(noise()))
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        with pytest.raises(InputError, match=r"^secret\.png may not be read"):
            load_rgb(path)
    else:
        pytest.skip("this user may read everything")


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on what it skipped
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF"])
def test_random_damage_never_raises_anything_else(file_format: str):
    rng = np.random.default_rng(1)
    data = np.frombuffer(encode(noise(20, 30), file_format), np.uint8)
    for trial in range(150):
        broken = data.copy()
        head = len(data) if trial % 2 else min(len(data), 120)
        broken[rng.integers(0, head, 4)] = rng.integers(0, 256, 4)
        try:
            image = load_rgb(io.BytesIO(broken.tobytes()))
        except InputError:
            continue
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_a_map_is_resized_to_height_and_width():
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    resized = resize_map(ramp, (3, 5))
    assert resized.shape == (3, 5) and resized.dtype == np.float32
    assert resized[0, 0] < resized[0, -1] < resized[-1, -1]


@pytest.mark.parametrize("size", [(1, 1), (10, 20_000), (64, 64), (7, 130)])
def test_resizing_stays_within_zero_and_one(size: tuple[int, int]):
    values = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.float32)
    resized = resize_map(values, size)
    assert resized.shape == size
    assert resized.min() >= 0 and resized.max() <= 1


def test_shrinking_averages_and_a_constant_stays():
    assert resize_map(np.eye(2, dtype=np.float32), (1, 1)) == pytest.approx(0.5)
    assert resize_map(np.full((5, 5), 1, np.float32), (9, 2)) == pytest.approx(1.0)


def test_resizing_takes_a_view_with_any_strides():
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    assert np.array_equal(resize_map(ramp.T, (4, 4)), ramp.T)


def test_grey_is_cut_off_not_rounded():
    values = np.array([[0, 0.5, 0.999, 1]], np.float32)
    assert to_grey(values).tolist() == [[0, 127, 254, 255]]


def test_grey_does_not_wrap_around():
    assert to_grey(np.array([[-1e-6, 1.01]], np.float32)).tolist() == [[0, 255]]


def test_a_cut_out_keeps_colours_and_takes_the_mask_as_alpha():
    image = np.array([[RED, GREEN]], np.uint8)
    cutout = cut_out(image, np.array([[1, 0]], np.float32))
    assert cutout.dtype == np.uint8
    assert cutout.tolist() == [[[*RED, 255], [*GREEN, 0]]]


def test_a_cut_out_of_another_size_is_refused():
    with pytest.raises(InputError, match="must be equal"):
        cut_out(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2), np.float32))


def test_a_hard_edge_gets_two_pixels_on_either_side():
    row = np.repeat(np.array([[0] * 6 + [255] * 6], np.uint8), 9, axis=0)
    assert (mask_contour(row)[4] > 0).nonzero()[0].tolist() == [4, 5, 6, 7]


def test_the_contour_is_dilation_minus_erosion():
    mask = np.random.default_rng(0).integers(0, 20, (16, 16), dtype=np.uint8)
    spread = ndimage.generic_filter(mask.astype(float), np.ptp, 5, mode="nearest")
    assert np.array_equal(mask_contour(mask) > 0, spread >= 6)
