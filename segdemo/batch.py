"""Process many images, a few result files each: shared by the command line and the browser.

No torch here: the model is passed in as a function of the image.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.files import ImageFile, write_png
from segdemo.images import cut_out, load_rgb, to_grey

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentationFiles:
    """The files written for one image; edge: None where it has none."""

    mask: Path
    edge: Path | None
    cutout: Path

    @classmethod
    def below(cls, folder: Path, stem: str, edges: bool = True) -> SegmentationFiles:
        """Name the files for a stem, which may hold sub-folders: `<stem>_mask.png` and so on."""
        mask, edge, cutout = (folder / f"{stem}_{kind}.png" for kind in ("mask", "edge", "cutout"))
        return cls(mask, edge if edges else None, cutout)

    def __iter__(self) -> Iterator[Path]:
        """Go through mask, edge and cut-out."""
        return filter(None, (self.mask, self.edge, self.cutout))


@dataclass(frozen=True)
class FileStatus:
    """Outcome of one image.

    message: one sentence; where `succeeded` is False it names the file and the way out. files:
    its results, None where it failed.
    """

    name: str
    succeeded: bool
    message: str
    seconds: float
    files: Iterable[Path] | None


Handler = Callable[[ImageFile, RGBImage], tuple[Iterable[Path], str]]
"""Process one image; returns the files it wrote and a sentence that describes them."""


def write_segmentation(
    result: SegmentationResult,
    image: RGBImage,
    stem: str,
    folder: Path,
    threshold: float | None = None,
) -> SegmentationFiles:
    """Write mask, edge if any (8-bit grey) and the cut-out (RGBA) as PNGs of the image's size.

    stem: names the files, may hold sub-folders, which are made. threshold: None keeps the soft
    mask; else mask and alpha are 255 where the mask exceeds it, 0 elsewhere. Files of the same
    names are replaced, each only once its successor is complete. Raises OSError.
    """
    mask = result.mask if threshold is None else result.binary(threshold).astype(np.float32)
    files = SegmentationFiles.below(folder, stem, result.edge is not None)
    files.mask.parent.mkdir(parents=True, exist_ok=True)
    write_png(to_grey(mask), files.mask)
    if files.edge is not None:
        write_png(to_grey(result.known_edge), files.edge)
    write_png(cut_out(image, mask), files.cutout)
    return files


def segment_files(
    files: Iterable[ImageFile],
    folder: Path,
    segment: Callable[[RGBImage], SegmentationResult],
    threshold: float | None = None,
) -> Iterator[FileStatus]:
    """Segment images into `folder`, three files each; see `process_images`.

    threshold: see `write_segmentation`.
    """
    return process_images(files, segmentation_handler(segment, folder, threshold))


def segmentation_handler(
    segment: Callable[[RGBImage], SegmentationResult],
    folder: Path,
    threshold: float | None = None,
) -> Handler:
    """Return a handler that segments an image into `folder`; see `segment_files`."""

    def handler(file: ImageFile, image: RGBImage) -> tuple[SegmentationFiles, str]:
        result = segment(image)
        written = write_segmentation(result, image, file.stem, folder, threshold)
        return written, _describe(result, image)

    return handler


def process_images(files: Iterable[ImageFile], handler: Handler) -> Iterator[FileStatus]:
    """Read images one by one, pass each to `handler`, and yield its status once it is done.

    An image that cannot be read, handled or written is reported and the next one follows. Other
    exceptions (KeyboardInterrupt, or a caller's own that its `handler` raises to stop) end the
    whole batch.
    """
    for file in files:
        start = time.perf_counter()
        written: Iterable[Path] | None = None
        try:
            changes: list[str] = []
            image = load_rgb(file.path, file.name, changes.append)
            written, message = _call_handler(handler, file, image)
            message = ". ".join([message, *(change.rstrip(".") for change in changes)])
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            message = _error_message(error, file.name)
        seconds = time.perf_counter() - start
        yield FileStatus(file.name, written is not None, message, seconds, written)


def _call_handler(handler: Handler, file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
    """Call the handler; put the image's name in front of the message of an InputError."""
    try:
        return handler(file, image)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def _describe(result: SegmentationResult, image: RGBImage) -> str:
    size = f"{image.shape[1]} x {image.shape[0]}"
    return size if result.found_something else f"{size}, nothing stands out: the mask is a guess"


def _error_message(error: Exception, name: str) -> str:
    """Return the error message for an image, one sentence."""
    if isinstance(error, InputError):
        return str(error)
    logger.debug("%s failed", name, exc_info=error)
    # torch says so by RuntimeErrors of several kinds
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return f"{name} needs more memory than there is: reduce the image or the working size."
    if isinstance(error, OSError):
        return f"{name}: its results cannot be written ({error.strerror}): check the output folder."
    first_line = str(error).strip().partition("\n")[0]
    return f"{name} failed unexpectedly ({type(error).__name__}: {first_line}): please report it."
