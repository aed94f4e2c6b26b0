"""Images from where data sets keep them: a folder, a list of paths, or tar archives.

Every process visits all images in the same order and reads only its own; an archive is
streamed, never unpacked.
"""

from __future__ import annotations

import glob
import io
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Protocol

import numpy as np

from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile, find_images
from segdemo.images import SUFFIXES, load_rgb

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LARGEST_MEMBER = 1 << 30  # bytes of an image in an archive: it is held in memory while decoded
DAMAGED = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")


class Reader(Protocol):
    """Reads one image."""

    def __call__(self) -> RGBImage:
        """Return (H, W, 3) uint8; raises InputError, which names the file and the way out."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image that is not read yet.

    name: what messages call it. stem: path of its results below the output folder, without ending.
    read: of an image in an archive, to be called before the next one is requested.
    """

    name: str
    stem: str
    read: Reader


class FileImages(Sequence[SourceImage]):
    """Images that are files, in the order given or a drawn one."""

    def __init__(self, files: Sequence[ImageFile], shuffle_seed: int | None = None) -> None:
        """Keep the files. shuffle_seed: draws their order; None leaves it."""
        self._files = files
        order = range(len(files))
        self._order: Sequence[int] = order
        if shuffle_seed is not None:
            self._order = np.random.default_rng([shuffle_seed, 3]).permutation(order).tolist()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._files)

    def __getitem__(self, place: int) -> SourceImage:  # type: ignore[override]
        """Return the image at a place; slices are not needed."""
        file = self._files[self._order[place]]
        return SourceImage(file.name, file.stem, partial(load_rgb, file.path, file.name))


class TarImages:
    """Images of one or more tar archives, laid out as WebDataset does or as plain folders.

    A sample's name ends at the first dot of a file's name, the rest is its type: `0001.jpg` is an
    image, `0001.seg.png` and a second image `0001.png` are parts of the same sample and left
    out, as is everything that is not an image. Each of several archives has a folder of results,
    named as the archive. What is damaged comes as an image whose `read` says so.
    """

    def __init__(self, archives: Sequence[Path]) -> None:
        """Name the archives; nothing is opened yet."""
        self._archives = archives
        self._top = Path(os.path.commonpath([path.absolute().parent for path in archives]))
        self.left_out = 0

    def __iter__(self) -> Iterator[SourceImage]:
        """Go through all archives; `left_out` counts images that are a sample's other parts."""
        self.left_out = 0
        for archive in self._archives:
            try:
                with tarfile.open(archive, "r:*") as opened:
                    yield from self._members(opened, archive)
                    _check_end(opened)
            except DAMAGED as error:
                yield _refused(
                    archive.name,
                    f"{archive.name} is not a tar archive, or damaged "
                    f"({error}): copy or download it again.",
                )

    def _members(self, archive: tarfile.TarFile, path: Path) -> Iterator[SourceImage]:
        folder = self._folder(path)
        seen: set[str] = set()
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # or millions of headers stay
            place = PureWindowsPath(member.name)  # sees drive letters and backslashes as well
            sample, _, kind = place.name.partition(".")
            if not member.isfile() or not sample or place.suffix.lower() not in SUFFIXES:
                continue
            name = f"{path.name}/{member.name}"
            if place.anchor or ".." in place.parts:
                yield _refused(name, f"{name}: its name leads out of the archive; rename it.")
                continue
            stem = (place.parent / sample).as_posix()
            if f".{kind}".lower() not in SUFFIXES or stem in seen:
                self.left_out += 1
                continue
            seen.add(stem)
            yield SourceImage(name, folder + stem, partial(_read_member, archive, member, name))

    def _folder(self, path: Path) -> str:
        if len(self._archives) == 1:
            return ""
        ending = next(end for end in ARCHIVES if path.name.endswith(end))
        return path.absolute().relative_to(self._top).as_posix().removesuffix(ending) + "/"


Images = FileImages | TarImages


def open_images(
    given: Sequence[str],
    root: str = "",
    shuffle_seed: int | None = None,
    output_dir: Path | None = None,
) -> Images:
    """Find the images of one folder, one text list of paths, or one or more tar archives.

    given: paths; archives also as patterns, `part-{000..099}.tar` or `part-*.tar`. A folder is
    searched with all below it, but for `output_dir`; results keep its sub-folders. root: folder
    that a list's paths, and the names of its results, are relative to; the list's own without one.
    shuffle_seed: draws the order of a folder or a list. Raises InputError where there is nothing.
    """
    paths = [Path(name).expanduser() for pattern in given for name in _expanded(pattern)]
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist: check the path.")
    if paths and all(path.name.endswith(ARCHIVES) and path.is_file() for path in paths):
        if shuffle_seed is not None:
            raise InputError("Archives are read in their own order: leave out --shuffle.")
        return TarImages(list(dict.fromkeys(paths)))
    if len(paths) != 1:
        raise InputError("Give one folder, one list of paths, or tar archives as --pictures.")
    (path,) = paths
    if path.is_dir():
        files = find_images([path], output_dir)
    elif path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path} is a single image: give a folder, a list or tar archives.")
    else:
        files = _listed(path, Path(root).expanduser() if root else path.parent)
    if not files:
        raise InputError(f"Nothing to do: no images in {path}.")
    return FileImages(files, shuffle_seed)


def _listed(file: Path, root: Path) -> list[ImageFile]:
    """Read a list, a path a line; empty lines and those that begin with # are skipped.

    An image's results keep its path below `root`, or all of its path if it lies elsewhere.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not a text list of paths: write one path a line.") from error
    found: dict[str, ImageFile] = {}
    top = os.path.abspath(root)
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("#"):
            continue
        place = Path(os.path.abspath(root / line))
        kept = place.relative_to(top if place.is_relative_to(top) else place.anchor)
        stem = kept.with_suffix("").as_posix()
        earlier = found.setdefault(stem.casefold(), ImageFile(place, line, stem))
        if earlier.path != place:
            raise InputError(
                f"{file}: the results of {earlier.name} and {line} would have the same name: "
                "leave out or rename one of them."
            )
    return list(found.values())


def _expanded(pattern: str) -> list[str]:
    """Expand {a,b} and {000..099}, then *, ? and [..]; raises InputError without a match."""
    if os.path.exists(pattern):
        return [pattern]
    braces = BRACES.search(pattern)
    if braces is None:
        if not glob.has_magic(pattern):
            return [pattern]
        matches = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
        if not matches:
            raise InputError(f"{pattern} matches no file: check the path.")
        return matches
    first, last, words = braces.groups()
    if words is None:
        width = max(len(first), len(last)) if "0" in (first[0], last[0]) else 0
        choices = [f"{n:0{width}}" for n in range(int(first), int(last) + 1)]
    else:
        choices = words.split(",")
    head, tail = pattern[: braces.start()], pattern[braces.end() :]
    return [name for choice in choices for name in _expanded(head + choice + tail)]


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> RGBImage:
    if member.size > LARGEST_MEMBER:
        raise InputError(f"{name} has more than {LARGEST_MEMBER >> 30} GB: reduce the image.")
    try:
        stream = archive.extractfile(member)
        assert stream is not None  # only files come here
        content = stream.read()
    except DAMAGED as error:
        raise InputError(f"{name} is damaged or incomplete: copy or download it again.") from error
    return load_rgb(io.BytesIO(content), name)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise ReadError where the headers end in garbage, which tarfile takes for the end."""
    stream = archive.fileobj
    assert stream is not None  # open
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {archive.offset}")


def _refused(name: str, reason: str) -> SourceImage:
    def read() -> RGBImage:
        raise InputError(reason)

    return SourceImage(name, PureWindowsPath(name).name, read)
