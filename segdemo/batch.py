"""Many pictures in, a few files each out: what the command line and the browser share.

No torch here: the model comes in as a function of the picture.
"""

from __future__ import annotations

import logging
import lzma
import os
import secrets
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.images import SUFFIXES, cut_out, load_rgb, to_grey

logger = logging.getLogger(__name__)

PNG_EFFORT = 3  # half the time of zlib's default for a tenth more bytes
MOST_ZIPPED = 200  # pictures in one archive
LARGEST_UNPACKED = 1_000_000_000  # bytes of one archive's pictures, counted while they are read
CHUNK = 1 << 20
DAMAGED_ZIP = (  # what zipfile raises for damaged archives and entries
    zipfile.BadZipFile,
    NotImplementedError,
    OSError,
    EOFError,
    ValueError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True)
class PictureFile:
    """A picture to be read, and what its results are called.

    name: what messages call it, never a path outside the folder it was found in. stem: path of its
    results below the output folder, without `_mask.png`; no two of one `find_images` are equal.
    """

    path: Path
    name: str
    stem: str


@dataclass(frozen=True)
class SegmentationFiles:
    """The files written for one picture."""

    mask: Path
    edge: Path
    cutout: Path

    @classmethod
    def below(cls, folder: Path, stem: str) -> SegmentationFiles:
        """Name the files for a stem, which may hold sub-folders: `<stem>_mask.png` and so on."""
        mask, edge, cutout = (folder / f"{stem}_{kind}.png" for kind in ("mask", "edge", "cutout"))
        return cls(mask, edge, cutout)

    def __iter__(self) -> Iterator[Path]:
        """Go through mask, edge and cut-out."""
        return iter((self.mask, self.edge, self.cutout))


@dataclass(frozen=True)
class FileStatus:
    """How it went with one picture.

    message: one sentence; where `succeeded` is False it names the file and the way out. files:
    its results, None where it failed.
    """

    name: str
    succeeded: bool
    message: str
    seconds: float
    files: Iterable[Path] | None


Handle = Callable[[PictureFile, RGBImage], tuple[Iterable[Path], str]]
"""What is done with one picture; returns the files it wrote and a sentence that describes them."""


def find_images(inputs: Iterable[Path], output_dir: Path | None = None) -> list[PictureFile]:
    """List the pictures among files and folders, each once, in the order given.

    A folder is searched with all below it, sorted, for the endings in `images.SUFFIXES`; hidden
    entries, links to folders and what lies in `output_dir` are passed over. A file named outright
    is always listed, so that it is tried and, if need be, reported.

    A named file's results bear its own stem; a folder's pictures keep their sub-folders. Where two
    inputs would get the same result files (a/x.jpg and b/x.jpg; x.jpg and x.png), the later ones
    become x-2, x-3 .., counted past names that another input has. Raises InputError for a folder
    that cannot be read.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # a picture's path, and what its results keep of it
    for given in inputs:
        if os.path.isdir(given):  # unlike Path.is_dir, False where access is denied
            for path in _walk(given, output_dir):
                found.setdefault(path.resolve(), (path, path.relative_to(given)))
        else:
            found.setdefault(given.resolve(), (given, Path(given.name)))
    return _name_apart(list(found.values()))


def unpack_zip(
    archive: Path,
    folder: Path,
    on_skip: Callable[[str], None] | None = None,
    suffixes: Collection[str] = SUFFIXES,
    most: int = MOST_ZIPPED,
) -> list[Path]:
    """Unpack the pictures of a zip into `folder`, sub-folders kept; returns them in its order.

    Passed over, and told to `on_skip` in one sentence each: what is no picture by its ending,
    links, names that lead out of the folder, entries that are damaged or come twice. Hidden
    entries (macOS adds many) are passed over in silence. Raises InputError where the archive is
    broken, locked by a password, without pictures, or beyond `most` and `LARGEST_UNPACKED`.

    suffixes: endings, in small letters, of what counts as a picture. most: how many may be in it.
    """
    on_skip = on_skip or logger.info
    try:
        opened = zipfile.ZipFile(archive)
    except DAMAGED_ZIP as error:
        raise InputError(
            f"{archive.name} is no zip archive that can be opened here: pack the pictures anew."
        ) from error
    with opened:
        entries = _picture_entries(opened, archive.name, on_skip, suffixes, most)
        return _extract(opened, entries, folder, archive.name, on_skip)


def write_segmentation(
    result: SegmentationResult,
    image: RGBImage,
    stem: str,
    folder: Path,
    threshold: float | None = None,
) -> SegmentationFiles:
    """Write mask and edge (8-bit grey) and the cut-out (RGBA) as PNGs of the picture's size.

    stem: names the files, may hold sub-folders, which are made. threshold: None keeps the soft
    mask; else mask and alpha are 255 where the mask exceeds it, 0 elsewhere. Files of the same
    names are replaced, each only once its successor is complete. Raises OSError.
    """
    mask = result.mask if threshold is None else result.binary(threshold).astype(np.float32)
    files = SegmentationFiles.below(folder, stem)
    files.mask.parent.mkdir(parents=True, exist_ok=True)
    write_png(to_grey(mask), files.mask)
    write_png(to_grey(result.edge), files.edge)
    write_png(cut_out(image, mask), files.cutout)
    return files


def write_png(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write (H, W), (H, W, 3) or (H, W, 4) as a PNG, whole or not at all; raises OSError."""
    with replacing(path) as stream:
        Image.fromarray(pixels).save(stream, "PNG", compress_level=PNG_EFFORT)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside `path`, and give it that name once all is written.

    So no half-written file ever bears the name: what fails leaves the earlier file as it was.
    """
    unfinished = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("wb") as stream:
            yield stream
        unfinished.replace(path)
    except BaseException:  # Ctrl-C as well: nothing is left behind
        with suppress(OSError):
            unfinished.unlink()
        raise


def segment_files(
    pictures: Iterable[PictureFile],
    folder: Path,
    segment: Callable[[RGBImage], SegmentationResult],
    threshold: float | None = None,
) -> Iterator[FileStatus]:
    """Segment pictures into `folder`, three files each; see `work_through`.

    threshold: see `write_segmentation`.
    """

    def handle(picture: PictureFile, image: RGBImage) -> tuple[SegmentationFiles, str]:
        result = segment(image)
        files = write_segmentation(result, image, picture.stem, folder, threshold)
        return files, _describe(result, image)

    return work_through(pictures, handle)


def work_through(pictures: Iterable[PictureFile], handle: Handle) -> Iterator[FileStatus]:
    """Read pictures one by one, hand them to `handle`, and yield how each went once it is done.

    A picture that cannot be read, handled or written is reported and the next one follows. What
    is no error of these (KeyboardInterrupt, or an exception of a caller's own that its `handle`
    raises to stop) ends the whole walk.
    """
    for picture in pictures:
        start = time.perf_counter()
        files: Iterable[Path] | None = None
        try:
            image = load_rgb(picture.path, picture.name)
            files, message = _handle_named(handle, picture, image)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            message = _explain(error, picture.name)
        seconds = time.perf_counter() - start
        yield FileStatus(picture.name, files is not None, message, seconds, files)


def _handle_named(
    handle: Handle, picture: PictureFile, image: RGBImage
) -> tuple[Iterable[Path], str]:
    """Handle, and put the picture's name in front of what the model complains of."""
    try:
        return handle(picture, image)
    except InputError as error:
        raise InputError(f"{picture.name}: {error}") from error


def _describe(result: SegmentationResult, image: RGBImage) -> str:
    size = f"{image.shape[1]} x {image.shape[0]}"
    return size if result.found_something else f"{size}, nothing stands out: the mask is a guess"


def _explain(error: Exception, name: str) -> str:
    """Say in one sentence what befell a picture."""
    if isinstance(error, InputError):
        return str(error)
    logger.debug("%s failed", name, exc_info=error)
    # torch says so by RuntimeErrors of several kinds
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return f"{name} needs more memory than there is: reduce the picture or the working size."
    if isinstance(error, OSError):
        return f"{name}: its results cannot be written ({error.strerror}): check the output folder."
    first_line = str(error).strip().partition("\n")[0]
    return f"{name} failed unexpectedly ({type(error).__name__}: {first_line}): please report it."


def _walk(folder: Path, output_dir: Path | None) -> Iterator[Path]:
    """Yield a folder's pictures, sorted: its own files before its sub-folders'."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from error

    passed_over = None if output_dir is None else output_dir.resolve()
    for place, subfolders, names in os.walk(folder, onerror=refuse):
        here = Path(place)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and (here / name).resolve() != passed_over
        )
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield here / name


def _name_apart(pictures: list[tuple[Path, Path]]) -> list[PictureFile]:
    """Give each picture a stem of its own; see `find_images`.

    Names that differ only in capitals count as equal: on many disks they are.
    """
    stems = [kept.with_suffix("").as_posix() for _, kept in pictures]
    wanted = {stem.casefold() for stem in stems}
    taken: set[str] = set()
    named = []
    for (path, kept), stem in zip(pictures, stems, strict=True):
        unique, number = stem, 1
        while unique.casefold() in taken or (number > 1 and unique.casefold() in wanted):
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.casefold())
        named.append(PictureFile(path, kept.as_posix(), unique))
    return named


def _picture_entries(
    archive: zipfile.ZipFile,
    name: str,
    on_skip: Callable[[str], None],
    suffixes: Collection[str],
    most: int,
) -> list[zipfile.ZipInfo]:
    """Choose the entries that are worth unpacking and safe to."""
    chosen = []
    for entry in archive.infolist():
        # Windows rules see drive letters and backslashes, which matter there, as well as slashes
        path = PureWindowsPath(entry.filename)
        hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
        if entry.is_dir() or hidden:
            continue
        if path.anchor or ".." in path.parts:
            on_skip(f"{entry.filename} was left out: its name leads out of the archive.")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            on_skip(f"{entry.filename} was left out: it is a link.")
        elif path.suffix.lower() not in suffixes:
            on_skip(f"{entry.filename} was left out: it is no picture.")
        elif entry.flag_bits & 1:
            raise InputError(f"{name} is locked by a password: pack the pictures without one.")
        else:
            chosen.append(entry)
    if not chosen:
        raise InputError(f"{name} holds no pictures: put PNG, JPEG or WebP files into it.")
    if len(chosen) > most:
        raise InputError(f"{name} holds {len(chosen)} pictures: split it, {most} at most.")
    return chosen


def _extract(
    archive: zipfile.ZipFile,
    entries: list[zipfile.ZipInfo],
    folder: Path,
    name: str,
    on_skip: Callable[[str], None],
) -> list[Path]:
    """Unpack the entries; what a header says of its entry's size is not believed."""
    unpacked, total = [], 0
    for entry in entries:
        target = folder.joinpath(*PureWindowsPath(entry.filename).parts)
        if os.path.lexists(target):
            on_skip(f"{entry.filename} was left out: the archive holds that name twice.")
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("xb") as copy:
                while chunk := source.read(CHUNK):
                    total += len(chunk)
                    if total > LARGEST_UNPACKED:
                        raise InputError(
                            f"{name} unpacks to more than {LARGEST_UNPACKED / 1e9:g} GB: split it."
                        )
                    copy.write(chunk)
            unpacked.append(target)
        except InputError:
            target.unlink()
            raise
        except DAMAGED_ZIP as error:
            with suppress(OSError):
                target.unlink()
            logger.debug("%s in %s", entry.filename, name, exc_info=error)
            on_skip(f"{entry.filename} was left out: it is damaged or cannot be stored.")
    return unpacked
