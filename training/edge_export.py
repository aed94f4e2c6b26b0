"""A trained edge generator on disk: the folder that `--backbone` opens, and its README.md."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from segdemo.backbone_files import ADAPTER, BACKBONES, GENERATOR, BackboneFiles
from segdemo.checkpoints import PHOTO_FEATURES, ModelCard
from segdemo.diffdis.loading import LARGEST_SHARD, write_card
from segdemo.diffegg.adapters import save_adapter
from training.edge_task import EdgeTrainee


def write_edge_model(
    trainee: EdgeTrainee,
    files: BackboneFiles,
    training: dict[str, Any],
    figures: dict[str, float],
    folder: Path,
) -> None:
    """Write `adapter/`, `edge_generator/`, `segdemo.json` and README.md, but not the base.

    Without a LoRA there is no `adapter/`; what photo features a generator sees lies beside it.

    training: what there is to say of how. figures: of the last validation.
    """
    for part in (ADAPTER, GENERATOR, PHOTO_FEATURES):
        shutil.rmtree(folder / part, ignore_errors=True)  # of an earlier export
    if trainee.backbone.has_adapter:
        save_adapter(trainee.backbone, folder / ADAPTER)
    if trainee.backbone.photo_features is not None:
        trainee.backbone.photo_features.save_pretrained(folder / PHOTO_FEATURES)
    trainee.generator.save_pretrained(folder / GENERATOR, max_shard_size=LARGEST_SHARD)
    config = json.loads((folder / GENERATOR / "config.json").read_text())
    config.pop("_name_or_path", None)  # a path of this machine
    (folder / GENERATOR / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    card = ModelCard(
        name=folder.resolve().parent.name,
        licence=files.licence,
        native_size=files.native_size,
        base=base_name(files, folder),
        quality={"pseudo_edges": figures} if figures else {},
        training=training,
        trace=files.trace,
    )
    write_card(card, folder)
    (folder / "README.md").write_text(_readme(card))


def base_name(files: BackboneFiles, folder: Path) -> str:
    """Return how a card in a folder names a model: registered, on the Hub, or the way to it."""
    if files.base in BACKBONES or not Path(files.base).expanduser().is_dir():
        return files.base
    return os.path.relpath(Path(files.base).expanduser().resolve(), folder.resolve())


def _readme(card: ModelCard) -> str:
    figures = card.quality.get("pseudo_edges", {})
    rows = [f"| {name} | {value:.3f} |" for name, value in figures.items()]
    table = ["| figure | value |", "|---|---|", *rows] if rows else ["Nothing was measured."]
    return "\n".join(
        [
            "---",
            "pipeline_tag: image-segmentation",
            "tags: [diffegg, edge-detection, lora]",
            f"base_model: {card.base}",
            "---",
            f"# {card.name}",
            "Edges between instances by DiffEGG: a LoRA for the self-attention of a diffusion "
            "model (`adapter/`) and an edge generator over its hidden states "
            "(`edge_generator/`).",
            "",
            f"Belongs to {card.base}; licence of that model: {card.licence}.",
            "",
            "Open it: `segdemo edges photo.jpg --backbone FOLDER --output_dir out`, FOLDER being "
            "this one.",
            "",
            "## Measured while training",
            "Against the pseudo-edges of pictures that were not trained on, at certain pixels; "
            "these are no human's edges.",
            "",
            *table,
            "",
            "## How it was trained",
            "```json",
            json.dumps(card.training, indent=1),
            "```",
            "",
        ]
    )
