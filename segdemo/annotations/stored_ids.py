"""Images whose pixel values are numbers: opened with care, and read as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence, UnidentifiedImageError

from segdemo.annotations.classes import VOID
from segdemo.datatypes import InputError
from segdemo.images import MAX_PIXELS
from segdemo.regular_files import open_regular

FORMATS = ("PNG", "TIFF", "BMP", "GIF")  # those that keep numbers as they are
MAX_COLOURS = 5000  # a photo has more; of images whose colours are ids
MAX_PAGES = 2000
OPAQUE = 128  # the least alpha of a pixel that counts
VOC_BORDER = (224, 224, 192)  # colour of 255 in VOC's palette, where instances meet


def read_label_image(path: Path, name: str) -> npt.NDArray[np.int64]:
    """Read a label image as (H, W) int64 ids, as they are stored; of several pages the first.

    Palette indices and 8- and 16-bit greys are the ids; of an image in colours they are red +
    256 green + 65536 blue, as COCO's panoptic images have them. VOC's border (255 of its palette)
    and transparent pixels become background. Raises InputError.
    """
    with opened(path, name) as image:
        return stored_ids(image, name)


@contextmanager
def opened(path: Path, name: str) -> Iterator[Image.Image]:
    """Open a label image; raises InputError, also for what its decoder raises inside."""
    too_large = (
        f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels: reduce image and masks."
    )
    try:
        with open_regular(path) as stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(too_large)
            yield image
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not a label image: save it as PNG (JPEG and WebP blur numbers)."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(too_large) from error
    except InputError:
        raise
    # what damaged bytes raise differs by decoder, see segdemo.images
    except Exception as error:
        raise InputError(f"{name} is damaged or incomplete: copy it again.") from error


def pages(image: Image.Image, name: str) -> Iterator[Image.Image]:
    """Yield the pages or frames of an open image; raises InputError for too many or too large."""
    for i, page in enumerate(ImageSequence.Iterator(image)):
        if i >= MAX_PAGES or page.width * page.height > MAX_PIXELS:
            raise InputError(f"{name} has more or larger pages than can be read: split it.")
        yield page


def stored_ids(image: Image.Image, name: str) -> npt.NDArray[np.int64]:
    """Return the (H, W) numbers of an open image, see `read_label_image`."""
    if image.mode == "P":
        palette = image.getpalette() or []
        ids = np.asarray(image).astype(np.int64)
        if tuple(palette[3 * VOID : 3 * VOID + 3]) == VOC_BORDER:
            ids[ids == VOID] = 0
        return ids
    if image.mode in ("L", "1", "I") or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)
    if image.mode not in ("RGB", "RGBA", "LA"):
        raise InputError(f"{name} holds no whole numbers: save it as 8- or 16-bit PNG.")
    colours = np.asarray(image.convert("RGB"), np.int64)
    ids = colours @ np.array([1, 256, 256**2])
    if image.mode != "RGB":
        ids[np.asarray(image.getchannel("A")) < OPAQUE] = 0
    count = len(np.unique(ids))
    if count > MAX_COLOURS:
        raise InputError(
            f"{name} holds {count} colours, which looks like a photo: a label image has one "
            "number or flat colour an instance."
        )
    return ids
