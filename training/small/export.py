"""The embedded model as the app opens it: float16 weights in files below 10 MB, and the card."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file

from segdemo.checkpoints.card import CARD, ModelCard, write_card
from segdemo.checkpoints.files import ADAPTER, EDGE_GENERATOR, PHOTO_FEATURES, read_json
from segdemo.diffdis.loading import LARGEST_SHARD, load_unet, save_unet
from segdemo.diffegg.edge_generator import EdgeGenerator
from training.diffegg.export import edge_training
from training.model_card import strip_local_paths
from training.photo_weights import imagenet_features
from training.small.networks import build_null_text, build_scheduler

PURE_LICENCE = "MIT (weights); training data under the licences named in segdemo.json"
IMAGENET_LICENCE = (
    "MIT (weights; ImageNet features and U2NetP Apache-2.0); training data under the licences "
    "named in segdemo.json"
)
TRACE = {"size": 512, "fixed_timestep": 99}
"""How the prior's attention is read: its largest maps have 1/16 of the image's side, and edges
from its nearly clean steps were better than at PeakKL's, which is little use on a small model."""

SEGMENT = {"follow": True, "second_opinion": True}
"""Defaults of DiffDIS: its maps are coarse, and U2NetP was trained on many more kinds of objects.
Averaging six passes takes six times as long, and beside that opinion it changes little."""

DATA = {
    "175 photographic cut-outs, Debian package tuxpaint-stamps-default 2022.06.04-1": "GPL-2",
    "450 rendered emoji, npm package @lobehub/fluent-emoji-3d 1.1.0": "MIT",
    "790 renders of Debian package sweethome3d-furniture 1.8-1": "CC0 and CC BY 3.0",
    "4133 silhouettes, npm package @iconify-json/game-icons 1.2.4": "CC BY 3.0",
    "360 photos of people, Clothing Co-Parsing": "Apache-2.0; the photos are third parties'",
    "399 photos of COCO": "annotations CC BY 4.0; each photo under its own Flickr licence, some "
    "non-commercial",
    "300 photos of BSDS500, train and val": "non-commercial research and education",
}
"""What the scenes are made of, and its licences; training/README.md says where to get it."""


def export_pure(
    folder: Path, native_size: int, history: dict[str, object], edges: Path | None = None
) -> None:
    """Write `export/` of a run's folder: the whole of `small`.

    edges: an export of `training.diffegg`, whose edge generator and LoRA are added.
    """
    target = folder / "export"
    for name, network in (
        ("vae", AutoencoderKL.from_pretrained(folder / "vae")),
        ("prior", UNet2DConditionModel.from_pretrained(folder / "prior")),
    ):
        network.half().save_pretrained(target / name, max_shard_size=LARGEST_SHARD)
        strip_local_paths(target / name / "config.json")
    card = ModelCard(
        name="small",
        licence=PURE_LICENCE,
        native_size=native_size,
        base=None,
        training=_training(history, edges),
        trace=TRACE,
        edge_training=edge_training(annotated=False, photo_features=False) if edges else "",
    )
    _write_common(folder, card, edges)


def export_imagenet(
    folder: Path, native_size: int, history: dict[str, object], edges: Path | None = None
) -> None:
    """Write `export/` of a run's folder: what `small-imagenet` adds to `small`."""
    features = imagenet_features().half()
    features.save_pretrained(folder / "export" / PHOTO_FEATURES, max_shard_size=LARGEST_SHARD)
    card = ModelCard(
        name="small-imagenet",
        licence=IMAGENET_LICENCE,
        native_size=native_size,
        base="small",
        training=_training(history, edges),
        edge_training=edge_training(annotated=True, photo_features=True) if edges else "",
        segment=SEGMENT,
        noise=0.0,  # of 20 composites 0.81 instead of 0.59 to 0.74 with drawn noise
    )
    _write_common(folder, card, edges)


def _write_common(folder: Path, card: ModelCard, edges: Path | None) -> None:
    target = folder / "export"
    save_unet(load_unet(folder / "unet"), target / "unet", torch.float16)
    build_scheduler().save_pretrained(target / "scheduler")
    save_file({"null_text": build_null_text()}, target / "null_text.safetensors")
    if edges is not None:
        generator = EdgeGenerator.from_pretrained(edges / EDGE_GENERATOR).half()
        generator.save_pretrained(target / EDGE_GENERATOR, max_shard_size=LARGEST_SHARD)
        strip_local_paths(target / EDGE_GENERATOR / "config.json")
        if (edges / ADAPTER).is_dir():
            shutil.copytree(edges / ADAPTER, target / ADAPTER, dirs_exist_ok=True)
    write_card(card, target)


def _training(history: dict[str, object], edges: Path | None) -> dict[str, object]:
    if edges is not None:
        history = history | {"edge_generator": read_json(edges / CARD)["training"]}
    return {"recipe": "python -m training.small", "data": DATA, "history": history}
