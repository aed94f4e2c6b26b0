"""Where a picture's edges come from: a file, its own gradients, the truth, or a backbone's run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluation.damage import true_edges
from evaluation.object_files import stem
from evaluation.problems import Problem
from evaluation.streaming import Item, Row, measure_all
from segdemo.datatypes import FloatMap, InputError
from segdemo.edge_files import gradient_edges, read_edge_map
from segdemo.files import write_png
from segdemo.images import SUFFIXES, load_rgb, to_grey

MODEL_CARDS = ("segdemo.json", "model_index.json")  # tell a backbone's folder from edge maps
Labels = Callable[[], npt.NDArray[np.integer]]
"""Gives the truth as a label map (H, W), for those who need it."""

ENDING = "_edge"  # of the files that `segdemo edges` writes


class EdgeSource(Protocol):
    """One picture's edges."""

    def find(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """Return them in [0, 1] at a truth's (height, width); raises InputError."""


@dataclass(frozen=True)
class TrueEdges:
    """The lines between true objects: what perfect edges would do."""

    def find(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """See `EdgeSource`."""
        return true_edges(labels())


@dataclass(frozen=True)
class GradientEdges:
    """Changes of grey in a photo: what edges do that know nothing of objects."""

    photo: Path

    def find(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """See `EdgeSource`."""
        image = load_rgb(self.photo)
        if image.shape[:2] != size:
            raise InputError(f"{self.photo.name} and its true objects differ in size")
        return gradient_edges(image).probability


@dataclass(frozen=True)
class FileEdges:
    """A grey picture, white = edge."""

    file: Path

    def find(self, size: tuple[int, int], labels: Labels) -> FloatMap:
        """See `EdgeSource`."""
        return read_edge_map(self.file, size, self.file.name).probability


@dataclass(frozen=True)
class Edges:
    """sources: by the place of their picture, with the files they read; absent ones lack edges."""

    sources: Mapping[int, tuple[EdgeSource, tuple[Path, ...]]]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_edges(names: Sequence[str], options: argparse.Namespace) -> Edges:
    """Find the pictures' edges by `options.edges`: true, gradient, a folder of them or a backbone.

    A backbone runs here, one picture after another, and its edges are kept in the folder of
    results, for a killed run to go on. Raises InputError.
    """
    if options.edges == "true":
        return Edges({place: (TrueEdges(), ()) for place in range(len(names))})
    folder = Path(options.edges)
    if folder.is_dir() and not any((folder / card).exists() for card in MODEL_CARDS):
        return _of_files(names, folder, "edge map")
    if options.images is None:
        raise InputError(f"--edges {options.edges} needs photographs: give --images.")
    photos = _of_files(names, options.images, "photograph")
    if options.edges == "gradient":
        sources = {p: (GradientEdges(files[0]), files) for p, (_, files) in photos.sources.items()}
        return Edges(sources, photos.problems)
    return _drawn(names, photos, options)


def _of_files(names: Sequence[str], folder: Path, what: str) -> Edges:
    """Match files to pictures by name, with or without `_edge`."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give one with files of the pictures' names.")
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            files[stem(file.name).removesuffix(ENDING)] = file
    sources: dict[int, tuple[EdgeSource, tuple[Path, ...]]] = {}
    problems = []
    for place, name in enumerate(names):
        found = files.get(stem(name))
        if found is None:
            problems.append(Problem(name, f"has no {what} in {folder}.", may_lack=True))
        else:
            sources[place] = (FileEdges(found), (found,))
    return Edges(sources, problems)


def _drawn(names: Sequence[str], photos: Edges, options: argparse.Namespace) -> Edges:
    """Run a backbone over the photographs."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(
        device=options.device, precision=options.precision, backbone=options.edges
    )
    assistant.load_backbone()
    place = options.output_dir / "edges"
    place.mkdir(parents=True, exist_ok=True)

    def draw(job: tuple[Path, Path]) -> Row:
        photo, target = job
        edge = assistant.edges(load_rgb(photo))
        beside = target.with_suffix(".new")
        write_png(to_grey(edge.probability), beside)
        beside.replace(target)
        return {"origin": edge.origin}

    targets = {p: place / f"{stem(names[p])}{ENDING}.png" for p in photos.sources}
    items = [
        Item(f"{names[p]} edges", files, (files[0], targets[p]))
        for p, (_, files) in photos.sources.items()
    ]
    identity = (options.edges, assistant.backbone_description, options.precision)
    rows = list(measure_all(items, draw, 1, options.output_dir, identity))
    origins = ", ".join(sorted({row["origin"] for row in rows}))
    sources = {p: (FileEdges(target), (target,)) for p, target in targets.items()}
    note = f"edges: {origins} of {assistant.backbone_description}"
    return Edges(sources, photos.problems, [note])
