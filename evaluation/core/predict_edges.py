"""Run a backbone over images and keep its edges or its scores, so that a killed run resumes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from evaluation.core.models import edge_model
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample, measure_all
from evaluation.data.boundary_sets import BoundarySample
from evaluation.data.edge_readers import (
    ENDING,
    MODEL_CARDS,
    Edges,
    FileEdges,
    GradientEdges,
    TrueEdges,
    edges_of_files,
)
from evaluation.data.files import stem
from segdemo.datatypes import InputError
from segdemo.diffegg.settings import TraceSettings
from segdemo.files import atomic_write, write_png
from segdemo.images import load_rgb, to_grey


def find_edges(names: Sequence[str], options: argparse.Namespace) -> Edges:
    """Find the images' edges by `options.edges`: true, gradient, a folder of them or a backbone.

    A backbone runs here, one image after another, and its edges are kept in the folder of
    results, so that a killed run resumes. Raises InputError.
    """
    folder = Path(options.edges)
    stored = folder.is_dir() and not any((folder / card).exists() for card in MODEL_CARDS)
    if options.edge_metric and (stored or options.edges in ("true", "gradient")):
        raise InputError("--edge_metric needs --edges of a backbone: it compares attention.")
    if options.edges == "true":
        return Edges({place: (TrueEdges(), ()) for place in range(len(names))})
    if stored:
        return edges_of_files(names, folder, "edge map")
    if options.images is None:
        raise InputError(f"--edges {options.edges} needs photographs: give --images.")
    photos = edges_of_files(names, options.images, "photograph")
    if options.edges == "gradient":
        readers = {p: (GradientEdges(files[0]), files) for p, (_, files) in photos.readers.items()}
        return Edges(readers, photos.errors)
    return _predicted(names, photos, options)


def _predicted(names: Sequence[str], photos: Edges, options: argparse.Namespace) -> Edges:
    """Run a backbone over the photographs."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    model = options.edges, options.device, options.precision
    assistant = AnnotationAssistant(
        device=options.device, precision=options.precision, backbone=options.edges
    )
    metric = options.edge_metric
    place = options.output_dir / "edges"
    place.mkdir(parents=True, exist_ok=True)

    targets = {p: place / f"{stem(names[p])}{ENDING}.png" for p in photos.readers}
    samples = [
        Sample(f"{names[p]} edges", files, (files[0], targets[p]))
        for p, (_, files) in photos.readers.items()
    ]
    described = (options.edges, assistant.backbone_description, options.precision)
    identity = (*described, metric) if metric else described
    predict_one = partial(write_edges, model=model, metric=metric)
    rows = list(measure_all(samples, predict_one, options.workers, options.output_dir, identity))
    origins = ", ".join(sorted({row["origin"] for row in rows}))
    readers = {p: (FileEdges(target), (target,)) for p, target in targets.items()}
    note = f"edges: {origins} of {assistant.backbone_description}" + (
        f", compared by {metric}" if metric else ""
    )
    return Edges(readers, photos.errors, [note])


def write_edges(files: tuple[Path, Path], model: tuple[str, str, str], metric: str) -> Row:
    """Write the edges of a photograph to another file.

    model: (backbone, device, precision). metric: what compares attention; "": as the backbone does.
    """
    photo, target = files
    assistant, image = edge_model(*model), load_rgb(photo)
    if metric:
        settings = replace(assistant.trace_defaults, edge_metric=metric)
        edge = assistant.attention_edges(image, settings)
    else:
        edge = assistant.edges(image)
    write_png(to_grey(edge.probability), target)
    return {"origin": edge.origin}


def write_trace_maps(
    files: tuple[Path, Path], model: tuple[str, str, str], settings: TraceSettings
) -> Row:
    """Write the edge scores of each timestep of a photograph to an .npz; model: see above."""
    photo, target = files
    assistant, image = edge_model(*model), load_rgb(photo)
    *_, trace = assistant.trace(image, settings)
    maps = {"PeakKL": trace.chosen.edge_score}
    maps |= {str(step.timestep): step.edge_score for step in trace.steps}
    if assistant.edge_source.kind == "edge_generator":
        maps["edge generator"] = assistant.edges(image).probability
    with atomic_write(target) as stream:
        np.savez_compressed(stream, allow_pickle=False, **maps)
    return {}


def with_traces(
    images: Sequence[BoundarySample], output_dir: Path, options: argparse.Namespace
) -> list[BoundarySample]:
    """Run a backbone over the images and keep its scores in `traces`: a killed run resumes."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(
        device=options.device, precision="fp32", backbone=options.backbone
    )
    settings = TraceSettings(
        timesteps=tuple(options.timesteps), size=options.size, layers=options.layers
    )
    place = output_dir / "traces"
    place.mkdir(parents=True, exist_ok=True)
    model = options.backbone, options.device, "fp32"
    trace_one = partial(write_trace_maps, model=model, settings=settings)
    traced = [
        BoundarySample(p.photo, p.truth, place / f"{number}_{p.photo.stem}.npz")
        for number, p in enumerate(images)
    ]
    samples = [
        Sample(f"{p.photo.name} trace", (p.photo,), (p.photo, p.edges)) for p in traced if p.edges
    ]
    identity = (options.backbone, assistant.backbone_description, settings)
    for _ in measure_all(samples, trace_one, options.workers, output_dir, identity):
        pass
    return traced
