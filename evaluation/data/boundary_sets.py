"""The photos of a bench of boundaries, with their truth and the edge maps to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.data.boundary_annotations import truth_files
from evaluation.data.edge_readers import ENDING
from evaluation.data.files import stem
from evaluation.data.validation import FileError
from segdemo.datatypes import InputError
from segdemo.images import SUFFIXES


@dataclass(frozen=True)
class BoundarySample:
    """A photo and its truth.

    edges: an image of edges, or an NPZ of scores, see `boundaries.read_maps`.
    """

    photo: Path
    truth: Path
    edges: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All there are."""
        return tuple(file for file in (self.photo, self.truth, self.edges) if file)


def find_samples(
    bench: Path, number: int | None, split: str = ""
) -> tuple[list[BoundarySample], list[FileError]]:
    """Match photos and truth by stem, the first `number` photos or all; raises InputError.

    split: the folder below `images` and the truth that counts, as BSDS500 has train, val and test.
    """
    folder = bench / "images" / split
    photos = [
        file
        for file in (sorted(folder.rglob("*")) if folder.is_dir() else ())
        if file.suffix.lower() in SUFFIXES
    ][:number]
    if not photos:
        raise InputError(f"{folder} holds no images.")
    truths = truth_files(bench, split)
    found, errors = [], []
    for photo in photos:
        if (truth := truths.get(stem(photo.name))) is not None:
            found.append(BoundarySample(photo, truth))
        else:
            errors.append(FileError(photo.name, f"has no truth in {bench}.", optional=True))
    return found, errors


def with_edges(
    images: Sequence[BoundarySample], folder: Path
) -> tuple[list[BoundarySample], list[FileError]]:
    """Match edge maps `<stem>_edge.png` or `<stem>.png` to images; raises InputError."""
    if not folder.is_dir():
        raise InputError(f"--edges {folder} is not a folder.")
    files = {
        stem(file.name).removesuffix(ENDING): file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES
    }
    found, errors = [], []
    for image in images:
        if (edges := files.get(stem(image.photo.name))) is not None:
            found.append(BoundarySample(image.photo, image.truth, edges))
        else:
            name = image.photo.name
            errors.append(FileError(name, f"has no edge map in {folder}.", optional=True))
    return found, errors
