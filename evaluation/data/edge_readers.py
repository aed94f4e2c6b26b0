"""Where an image's edges come from: a file, its own gradients, the truth, or a backbone's run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluation.data.corruption import true_edges
from evaluation.data.files import stem
from evaluation.data.validation import FileError
from segdemo.datatypes import FloatMap, InputError
from segdemo.edge_files import gradient_edges, read_edge_map
from segdemo.images import SUFFIXES, load_rgb

MODEL_CARDS = ("segdemo.json", "model_index.json")  # tell a backbone's folder from edge maps
Labels = Callable[[], npt.NDArray[np.integer]]
"""Gives the truth as a label map (H, W), for those who need it."""

ENDING = "_edge"  # of the files that `segdemo edges` writes


class EdgeReader(Protocol):
    """One image's edges."""

    def load(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """Return them in [0, 1] at a truth's (height, width); raises InputError."""


@dataclass(frozen=True)
class TrueEdges:
    """The lines between true objects: what perfect edges would do."""

    def load(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """See `EdgeReader`."""
        return true_edges(labels())


@dataclass(frozen=True)
class GradientEdges:
    """Changes of grey in a photo: what edges do that know nothing of objects."""

    photo: Path

    def load(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """See `EdgeReader`."""
        image = load_rgb(self.photo)
        if image.shape[:2] != size:
            raise InputError(f"{self.photo.name} and its true objects differ in size")
        return gradient_edges(image).probability


@dataclass(frozen=True)
class FileEdges:
    """A grey image, white = edge."""

    file: Path

    def load(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """See `EdgeReader`."""
        return read_edge_map(self.file, size, self.file.name).probability


@dataclass(frozen=True)
class Edges:
    """readers: by the place of their image, with the files they read; absent ones lack edges."""

    readers: Mapping[int, tuple[EdgeReader, tuple[Path, ...]]]
    errors: list[FileError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def edges_of_files(names: Sequence[str], folder: Path, what: str) -> Edges:
    """Match files to images by name, with or without `_edge`."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give one with files of the images' names.")
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            files[stem(file.name).removesuffix(ENDING)] = file
    readers: dict[int, tuple[EdgeReader, tuple[Path, ...]]] = {}
    errors = []
    for place, name in enumerate(names):
        found = files.get(stem(name))
        if found is None:
            errors.append(FileError(name, f"has no {what} in {folder}.", optional=True))
        else:
            readers[place] = (FileEdges(found), (found,))
    return Edges(readers, errors)
