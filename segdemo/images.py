"""Pixels on their way in and out; everything here is numpy and Pillow.

Every image comes in through `load_rgb`, so that all callers (browser, command line, evaluation)
agree on what a file shows.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.regular_files import open_regular

MAX_PIXELS = 40_000_000  # pixels; decoded and with its maps this stays well under 2 GB
# Only these decoders see untrusted bytes; Pillow has many more, one of which runs Ghostscript
FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
FORMAT_NAMES = "PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF or PPM"
HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif")
    + (".ppm", ".pgm", ".pbm", ".pnm", ".avif", *HEIF_SUFFIXES)
)
"""Endings, in small letters, by which an image is known in a folder or an archive."""

with suppress(ImportError):  # optional, its decoder is under the LGPL
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS = (*FORMATS, "HEIF")

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_USUAL_DEPTHS = (8, 10, 12, 14)  # bits of a camera or scanner, in a file of 16
_SIDES_SWAPPED = (5, 6, 7, 8)  # EXIF orientations that lie on their side
_LATE_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # of a PNG: those that may hold an orientation
_Read = TypeVar("_Read")
logger = logging.getLogger(__name__)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_rgb(
    source: str | Path | BinaryIO,
    name: str | None = None,
    on_change: Callable[[str], None] = logger.warning,
) -> RGBImage:
    """Read a still image as (H, W, 3) uint8, upright by its EXIF orientation.

    source: a path, or an open binary file that can seek. name: what error messages call it; the
    file's own name by default. on_change: told in a sentence where grey is stretched. Of an
    animation or a file of several pages the first image is taken. Transparent parts become white,
    as a page would show them. 16-bit grey keeps its high byte, so the type's full range maps to
    0..255, unless no value exceeds 8, 10, 12 or 14 bits: then these are the range; 32-bit grey and
    float have no agreed white, and are stretched from their own darkest to their brightest value.
    Embedded colour profiles are not applied. Sides may be as unequal as they like, from 1 x 1 up
    to `MAX_PIXELS` pixels.

    Raises InputError, which names the file and the way out, for anything else.
    """
    return _read(source, name, partial(_decode, on_change=on_change))


def image_size(source: str | Path | BinaryIO, name: str | None = None) -> tuple[int, int]:
    """Return the (height, width) that `load_rgb` gives an image, from its header.

    The pixels are decoded only of a PNG that has metadata behind them. Raises InputError as
    `load_rgb` does, but for damage that only pixels show.
    """
    return _read(source, name, _measure)


def thumbnail(source: Path, side: int) -> Image.Image:
    """Return an image upright and small, `side` pixels at most; a JPEG is decoded at that scale.

    Raises InputError as `load_rgb` does.
    """

    def shrink(stream: BinaryIO, name: str) -> Image.Image:
        with _open(stream, name) as image:
            try:
                image.draft("RGB", (2 * side, 2 * side))
                image.load()
                small = _upright(image)
                if small.mode in ("RGB", "RGBA", "L", "P", "LA", "CMYK"):  # whose pixels are 8 bit
                    small = small.convert("RGBA" if small.has_transparency_data else "RGB")
                    small.thumbnail((side, side))
                small = Image.fromarray(_to_rgb(small, image.format, name, logger.debug))
                small.thumbnail((side, side))
                return small
            except (InputError, MemoryError):
                raise
            except Exception as error:  # see `_decode`
                raise _damaged(name) from error

    return _read(source, None, shrink)


def resize_map(values: FloatMap, size: tuple[int, int]) -> FloatMap:
    """Resize a map (h, w) in [0, 1] to `size` = (height, width) by Pillow's bilinear filter.

    The filter averages where the map shrinks. Returns float32 in [0, 1].
    """
    height, width = size
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return resized.clip(0, 1)  # the filter's weights add up to one only within rounding


def to_grey(values: FloatMap) -> npt.NDArray[np.uint8]:
    """Turn a map in [0, 1] into uint8: 255 times the value, cut off as the official code does."""
    return (values * 255).clip(0, 255).astype(np.uint8)


def cut_out(image: RGBImage, mask: FloatMap) -> npt.NDArray[np.uint8]:
    """Join an image (H, W, 3) and its mask (H, W) in [0, 1] to RGBA, (H, W, 4) uint8.

    The colours stay as they are, also where nothing of them shows; alpha is the mask's `to_grey`.
    Raises InputError if the sizes differ.
    """
    if image.shape[:2] != mask.shape:
        raise InputError(f"The mask is {mask.shape}, the image {image.shape[:2]}: must be equal.")
    return np.dstack([image, to_grey(mask)])


def mask_contour(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the edge band of a grey mask: the official edge ground truth of DiffDIS.

    mask: (H, W) uint8, not binarised. Returns (H, W) uint8 of 0 and 255: where a 5 x 5 dilation
    exceeds the erosion by 6 or more. A hard mask gets a band of 4 pixels, 2 inside and 2 outside.
    """
    # "nearest" repeats pixels that the window sees anyway, so borders count as OpenCV counts them
    dilated = ndimage.maximum_filter(mask, 5, mode="nearest").astype(np.int16)
    eroded = ndimage.minimum_filter(mask, 5, mode="nearest").astype(np.int16)
    return np.where(dilated - eroded >= 6, 255, 0).astype(np.uint8)


def _read(
    source: str | Path | BinaryIO, name: str | None, read: Callable[[BinaryIO, str], _Read]
) -> _Read:
    """Open what is a path, and hand the stream and its name to `read`; raises InputError."""
    if not isinstance(source, str | Path):
        return read(source, name or Path(str(getattr(source, "name", "The image"))).name)
    name = name or Path(source).name or str(source)
    try:
        with open_regular(Path(source), name=name) as stream:
            return read(stream, name)
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist: check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder: name an image in it.") from error
    except PermissionError as error:
        raise InputError(f"{name} may not be read: change its permissions or copy it.") from error
    except OSError as error:
        raise InputError(f"{name} cannot be opened ({error.strerror}): copy it again.") from error


def _open(stream: BinaryIO, name: str) -> Image.Image:
    """Read the header, no pixels; raises InputError for no image and for too large ones."""
    too_large = (
        f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels: reduce the image first."
    )
    try:
        image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:
        if stream.seek(0, 2) == 0:
            raise InputError(f"{name} is empty (0 bytes): copy or download it again.") from error
        if "HEIF" not in FORMATS and _is_heif(stream):
            raise InputError(
                f"{name} is a HEIC image: install pillow-heif (`pip install pillow-heif`), or save "
                "it as JPEG."
            ) from error
        raise InputError(
            f"{name} is not an image that can be read here, or its beginning is damaged: save it "
            f"as {FORMAT_NAMES}."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(too_large) from error
    except Exception as error:  # decoders raise many kinds on damaged headers, see below
        raise _damaged(name) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise InputError(too_large)
    return image


def _is_heif(stream: BinaryIO) -> bool:
    """Whether a file's first box names a brand of HEIF."""
    stream.seek(4)
    box = stream.read(8)
    return box[:4] == b"ftyp" and box[4:] in _HEIF_BRANDS


def _decode(
    stream: BinaryIO, name: str, on_change: Callable[[str], None] = logger.debug
) -> RGBImage:
    """Open, measure, and only then decode."""
    with _open(stream, name) as image:
        try:
            image.load()
            return _to_rgb(_upright(image), image.format, name, on_change)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(f"{name} does not fit into memory: reduce the image.") from error
        # What damaged bytes raise differs by decoder and by Pillow's release (OSError, SyntaxError,
        # ValueError, struct.error ..): no list of kinds stays complete
        except Exception as error:
            raise _damaged(name) from error


def _measure(stream: BinaryIO, name: str) -> tuple[int, int]:
    with _open(stream, name) as image:
        width, height = image.size
        # Pillow turns the size it states of a TIFF by this tag, but not by one in XMP
        turned = isinstance(image, TiffImageFile) and (ExifTags.Base.Orientation in image.tag_v2)
        late = image.format == "PNG" and _has_late_metadata(stream)
        swapped = not (turned or late) and _orientation(image) in _SIDES_SWAPPED
    if late:
        stream.seek(0)
        height, width, _ = _decode(stream, name).shape
    return (width, height) if swapped else (height, width)


def _has_late_metadata(stream: BinaryIO) -> bool:
    """Whether a PNG has chunks behind its pixels that may hold an orientation."""
    stream.seek(8)
    seen_pixels = False
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if seen_pixels and kind in _LATE_CHUNKS:
            return True
        seen_pixels |= kind == b"IDAT"
        stream.seek(length + 4, 1)
    return False


def _damaged(name: str) -> InputError:
    return InputError(f"{name} is damaged or incomplete: copy or download it again.")


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says."""
    turn = _UPRIGHT.get(_orientation(image) or 1)
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation; damaged EXIF counts as none."""
    try:
        # a PNG's own getexif decodes the pixels, to look for metadata behind them
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception:  # metadata are parsed from untrusted bytes; the pixels are fine without them
        return None
    return orientation if isinstance(orientation, int) else None


def _to_rgb(
    image: Image.Image, file_format: str | None, name: str, on_change: Callable[[str], None]
) -> RGBImage:
    """Bring a decoded image of any mode to (H, W, 3) uint8."""
    # Pillow reads 16-bit PGM as 32-bit integers in 0..65535
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format == "PPM"):
        return _grey_to_rgb(_high_byte(np.asarray(image).astype(np.uint16), name, on_change))
    if image.mode in ("I", "F"):
        return _grey_to_rgb(_stretch(np.asarray(image, np.float64), name))
    if image.mode == "LAB":
        raise InputError(f"{name} has CIELAB colours: save it with RGB colours.")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(with_alpha, mask=with_alpha.getchannel("A"))
        return np.asarray(white)
    return np.asarray(image.convert("RGB"))


def _high_byte(
    values: npt.NDArray[np.uint16], name: str, on_change: Callable[[str], None]
) -> npt.NDArray[np.uint16]:
    """Return the high 8 of as many bits as (H, W) numbers use, 16 unless a usual depth holds them.

    Cameras write 10, 12 or 14 bits into 16, which would be black.
    """
    top = int(values.max())
    depth = next((bits for bits in _USUAL_DEPTHS if top < 1 << bits), 16)
    if 0 < top and depth < 16:
        on_change(f"{name} has grey of {depth} bits in 16: it was stretched to the full range.")
    return values >> np.uint16(depth - 8)


def _stretch(values: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    """Stretch (H, W) numbers to [0, 255]; a constant image becomes black."""
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not numbers: save it as 8 or 16 bit.")
    low, high = values.min(), values.max()
    return (values - low) / (high - low or 1.0) * 255


def _grey_to_rgb(grey: npt.NDArray[Any]) -> RGBImage:
    """Repeat (H, W) values in 0..255 as three equal channels of uint8."""
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
