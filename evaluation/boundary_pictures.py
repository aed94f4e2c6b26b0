"""The photos of a bench of boundaries, with their truth and the edge maps to be measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.boundary_truth import truth_files
from evaluation.edge_sources import ENDING
from evaluation.object_files import stem
from evaluation.problems import Problem
from evaluation.streaming import Item, Row, measure_all
from segdemo.datatypes import InputError
from segdemo.images import SUFFIXES, load_rgb


@dataclass(frozen=True)
class Picture:
    """A photo and its truth.

    edges: a picture of edges, or an NPZ of scores, see `boundaries.read_maps`.
    """

    photo: Path
    truth: Path
    edges: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All there are."""
        return tuple(file for file in (self.photo, self.truth, self.edges) if file)


def find_pictures(
    bench: Path, number: int | None, split: str = ""
) -> tuple[list[Picture], list[Problem]]:
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
        raise InputError(f"{folder} holds no pictures.")
    truths = truth_files(bench, split)
    found, problems = [], []
    for photo in photos:
        if (truth := truths.get(stem(photo.name))) is not None:
            found.append(Picture(photo, truth))
        else:
            problems.append(Problem(photo.name, f"has no truth in {bench}.", may_lack=True))
    return found, problems


def with_edges(pictures: Sequence[Picture], folder: Path) -> tuple[list[Picture], list[Problem]]:
    """Match edge maps `<stem>_edge.png` or `<stem>.png` to pictures; raises InputError."""
    if not folder.is_dir():
        raise InputError(f"--edges {folder} is no folder.")
    files = {
        stem(file.name).removesuffix(ENDING): file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES
    }
    found, problems = [], []
    for picture in pictures:
        if (edges := files.get(stem(picture.photo.name))) is not None:
            found.append(Picture(picture.photo, picture.truth, edges))
        else:
            name = picture.photo.name
            problems.append(Problem(name, f"has no edge map in {folder}.", may_lack=True))
    return found, problems


def with_traces(
    pictures: Sequence[Picture], output_dir: Path, options: argparse.Namespace
) -> list[Picture]:
    """Run a backbone over the photos; its scores are kept in `traces`, for a killed run."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch
    from segdemo.diffegg.settings import TraceSettings

    assistant = AnnotationAssistant(device=options.device, backbone=options.backbone)
    settings = TraceSettings(
        timesteps=tuple(options.timesteps), size=options.size, layers=options.layers
    )
    place = output_dir / "traces"
    place.mkdir(parents=True, exist_ok=True)
    generator = assistant.edge_source.kind == "edge_generator"

    def keep(job: tuple[Path, Path]) -> Row:
        photo, target = job
        image = load_rgb(photo)
        *_, trace = assistant.trace(image, settings)
        maps = {"PeakKL": trace.chosen.edge_score}
        maps |= {str(step.timestep): step.edge_score for step in trace.steps}
        if generator:
            maps["edge generator"] = assistant.edges(image).probability
        beside = target.with_suffix(".new.npz")
        np.savez_compressed(beside, allow_pickle=False, **maps)
        beside.replace(target)
        return {}

    traced = [
        Picture(p.photo, p.truth, place / f"{number}_{p.photo.stem}.npz")
        for number, p in enumerate(pictures)
    ]
    items = [
        Item(f"{p.photo.name} trace", (p.photo,), (p.photo, p.edges)) for p in traced if p.edges
    ]
    identity = (options.backbone, assistant.backbone_description, settings)
    for _ in measure_all(items, keep, 1, output_dir, identity):
        pass
    return traced
