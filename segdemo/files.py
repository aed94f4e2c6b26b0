"""Files in and out: find images among folders, unpack archives safely, write all or nothing."""

from __future__ import annotations

import json
import logging
import lzma
import os
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.datatypes import InputError
from segdemo.images import SUFFIXES
from segdemo.regular_files import real_path

logger = logging.getLogger(__name__)

PNG_COMPRESSION = 3  # half the time of zlib's default for a tenth more bytes
MAX_ZIP_IMAGES = 200
MAX_UNPACKED_BYTES = 1_000_000_000  # of one archive's files, counted while they are read
CHUNK = 1 << 20
ZIP_ERRORS = (  # what zipfile raises for damaged archives and entries
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
class ImageFile:
    """An image to read, and what its results are called.

    name: what messages call it, never a path outside the folder it was found in. stem: path of its
    results below the output folder, without `_mask.png`; no two of one `find_images` are equal.
    """

    path: Path
    name: str
    stem: str


def find_images(inputs: Iterable[Path], output_dir: Path | None = None) -> list[ImageFile]:
    """List the images among files and folders, each once, in the order given.

    A folder is searched recursively, sorted, for the suffixes in `images.SUFFIXES`; hidden entries,
    links to folders and what lies in `output_dir` are skipped. A file given by name is always
    listed, so that it is tried and, if need be, reported.

    A named file's results have its own stem; a folder's images keep their sub-folders. Where two
    inputs would get the same result files (a/x.jpg and b/x.jpg; x.jpg and x.png), the later ones
    become x-2, x-3 .., counted past names that another input has. Raises InputError for a folder
    that cannot be read.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # an image's path, and what its results keep of it
    for given in inputs:
        if os.path.isdir(given):  # unlike Path.is_dir, False where access is denied
            for path in _walk(given, output_dir):
                found.setdefault(real_path(path), (path, path.relative_to(given)))
        else:
            found.setdefault(real_path(given), (given, Path(given.name)))
    return _name_apart(list(found.values()))


def unpack_zip(
    archive: Path,
    folder: Path,
    on_skip: Callable[[str], None] | None = None,
    suffixes: Collection[str] = SUFFIXES,
    most: int = MAX_ZIP_IMAGES,
) -> list[Path]:
    """Unpack the images of a zip into `folder`, sub-folders kept; returns them in its order.

    Skipped, and reported to `on_skip` in one sentence each: what has no image's suffix,
    links, names that lead out of the folder, entries that are damaged or come twice. Hidden
    entries (macOS adds many) are skipped silently. Raises InputError where the archive is
    broken, locked by a password, without images, or beyond `most` and `MAX_UNPACKED_BYTES`.

    suffixes: endings, in small letters, of what counts as an image. most: how many may be in it.
    """
    on_skip = on_skip or logger.info
    try:
        opened = zipfile.ZipFile(archive)
    except ZIP_ERRORS as error:
        raise InputError(
            f"{archive.name} is not a zip archive that can be opened here: pack the images again."
        ) from error
    with opened:
        entries = _image_entries(opened, archive.name, on_skip, suffixes, most)
        return _extract(opened, entries, folder, archive.name, on_skip)


def write_png(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write (H, W), (H, W, 3) or (H, W, 4) as a PNG, whole or not at all; raises OSError."""
    with atomic_write(path) as stream:
        Image.fromarray(pixels).save(stream, "PNG", compress_level=PNG_COMPRESSION)


def write_json(content: Any, path: Path) -> None:
    """Write JSON in ASCII, whole or not at all; missing folders are created. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(json.dumps(content), path)


def write_text(text: str, path: Path) -> None:
    r"""Write UTF-8 text, whole or not at all; lone surrogates as `\udc8e`. Raises OSError."""
    with atomic_write(path) as stream:
        stream.write(text.encode(errors="backslashreplace"))


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`, and rename it to `path` once all is written.

    If anything fails, the earlier file stays as it was and the temporary one is removed.
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


def _walk(folder: Path, output_dir: Path | None) -> Iterator[Path]:
    """Yield a folder's images, sorted: its own files before its sub-folders'."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from error

    passed_over = None if output_dir is None else real_path(output_dir)
    for place, subfolders, names in os.walk(folder, onerror=refuse):
        here = Path(place)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and real_path(here / name) != passed_over
        )
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield here / name


def _name_apart(images: list[tuple[Path, Path]]) -> list[ImageFile]:
    """Give each image a stem of its own; see `find_images`.

    Names that differ only in capitals count as equal: on many disks they are.
    """
    stems = [kept.with_suffix("").as_posix() for _, kept in images]
    wanted = {stem.casefold() for stem in stems}
    taken: set[str] = set()
    named = []
    for (path, kept), stem in zip(images, stems, strict=True):
        unique, number = stem, 1
        while unique.casefold() in taken or (number > 1 and unique.casefold() in wanted):
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.casefold())
        named.append(ImageFile(path, kept.as_posix(), unique))
    return named


def _image_entries(
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
            on_skip(f"{entry.filename} was left out: it is not an image.")
        elif entry.flag_bits & 1:
            raise InputError(f"{name} is locked by a password: pack the images without one.")
        else:
            chosen.append(entry)
    if not chosen:
        raise InputError(f"{name} holds no images: put PNG, JPEG or WebP files into it.")
    if len(chosen) > most:
        raise InputError(f"{name} holds {len(chosen)} images: split it, {most} at most.")
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
                    if total > MAX_UNPACKED_BYTES:
                        raise InputError(
                            f"{name} unpacks to more than {MAX_UNPACKED_BYTES / 1e9:g} GB: "
                            "split it."
                        )
                    copy.write(chunk)
            unpacked.append(target)
        except InputError:
            target.unlink()
            raise
        except ZIP_ERRORS as error:
            with suppress(OSError):
                target.unlink()
            logger.debug("%s in %s", entry.filename, name, exc_info=error)
            on_skip(f"{entry.filename} was left out: it is damaged or cannot be stored.")
    return unpacked
