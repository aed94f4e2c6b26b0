"""A trained edge generator on disk: the folder that `--backbone` opens, and its README.md."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from segdemo.checkpoints.backbone import BackboneFiles
from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.checkpoints.files import ADAPTER, EDGE_GENERATOR, PHOTO_FEATURES
from segdemo.checkpoints.locate import HUB_ID
from segdemo.checkpoints.registry import registered_source
from segdemo.diffdis.loading import LARGEST_SHARD
from segdemo.diffegg.adapters import save_adapter
from training.diffegg.model import DiffEGGModel
from training.model_card import metric_table, strip_local_paths

ANNOTATED = "trained on edges that people annotated"
"""How a card begins to say that an edge generator was not trained by DiffEGG's method."""


def write_edge_model(
    model: DiffEGGModel,
    files: BackboneFiles,
    training: dict[str, Any],
    rows: list[dict[str, float]],
    step: int,
    folder: Path,
    annotated: bool = False,
) -> None:
    """Write `adapter/`, `edge_generator/`, `segdemo.json` and README.md, but not the base.

    Without a LoRA there is no `adapter/`; photo features that the generator sees are written, too.

    training: how it was trained, for the card. rows: of all validations. step: of these weights.
    annotated: edges of people's annotations were among what it learned from.
    """
    for part in (ADAPTER, EDGE_GENERATOR, PHOTO_FEATURES):
        shutil.rmtree(folder / part, ignore_errors=True)  # of an earlier export
    if model.backbone.has_adapter:
        save_adapter(model.backbone, folder / ADAPTER)
    if model.pipeline.photo_features is not None:
        model.pipeline.photo_features.save_pretrained(folder / PHOTO_FEATURES)
    model.generator.save_pretrained(folder / EDGE_GENERATOR, max_shard_size=LARGEST_SHARD)
    strip_local_paths(folder / EDGE_GENERATOR / "config.json")
    measured = [row for row in rows if row["step"] == step]
    card = ModelCard(
        name=folder.resolve().parent.name,
        licence=files.licence,
        native_size=files.native_size,
        base=base_name(files, folder),
        quality={"pseudo_edges": measured[-1]} if measured else {},
        training=training,
        trace=files.trace,
        edge_training=edge_training(
            annotated,
            model.pipeline.photo_features is not None,
            any(level.attention for level in model.generator.levels),
        ),
    )
    write_card(card, folder)
    (folder / "README.md").write_text(_readme(card, rows))


def edge_training(annotated: bool, photo_features: bool, attention: bool = False) -> str:
    """Return what a card says of how its edge generator was trained.

    attention: it sees the accumulated attention map in place of hidden states.
    """
    features = ", with ImageNet features" if photo_features else ""
    seen = ", on the accumulated attention map" if attention else ""
    if annotated:
        return f"{ANNOTATED}{features}{seen}: not DiffEGG's method"
    if features:
        return f"trained without annotations, as DiffEGG describes{seen}, but{features[1:]}"
    return f"trained without annotations, as DiffEGG describes{seen}"


def is_public(files: BackboneFiles) -> bool:
    """Whether others have this model, too: it is registered or on the Hub."""
    registered = registered_source(files.base, "backbone")
    return registered is not None or not Path(files.base).expanduser().is_dir()


def base_name(files: BackboneFiles, folder: Path) -> str:
    """Return how a card in a folder names a model: registered, on the Hub, or its path."""
    if is_public(files):
        return files.base
    return os.path.relpath(Path(files.base).expanduser().resolve(), folder.resolve())


def _readme(card: ModelCard, rows: list[dict[str, float]]) -> str:
    named = [f"base_model: {card.base}"] if HUB_ID.fullmatch(card.base or "") else []
    return "\n".join(
        [
            "---",
            "pipeline_tag: image-segmentation",
            "tags: [diffegg, edge-detection, lora]",
            *named,  # of the Hub only: it refuses other names
            "---",
            f"# {card.name}",
            "Edges between instances by DiffEGG: an edge generator over the hidden states or the "
            "attention of a model (`edge_generator/`), with what else lies here: a LoRA for the "
            "model's self-attention (`adapter/`), ImageNet features that the generator sees as "
            "well (`photo_features/`).",
            "",
            f"The edge generator was {card.edge_training}.",
            "",
            f"Belongs to {card.base}; licence of that model: {card.licence}.",
            "",
            "Open it: `segdemo edges photo.jpg --backbone FOLDER --output_dir out`, FOLDER being "
            "this one.",
            "",
            "## Measured while training",
            "Against the labels of held-out images, at certain pixels. Of "
            "training.pseudo_edges they are no human's edges.",
            "",
            *(metric_table(rows) if rows else ["Nothing was measured."]),
            "",
            "## How it was trained",
            "```json",
            json.dumps(card.training, indent=1),
            "```",
            "",
        ]
    )
