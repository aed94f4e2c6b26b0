"""Train stage 2 of DiffEGG: from settings to a folder that the app opens."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from segdemo.checkpoints.backbone import OWN_FAMILY, BackboneFiles, locate_backbone
from segdemo.checkpoints.card import CARD, read_card
from segdemo.checkpoints.files import ADAPTER, EDGE_GENERATOR, read_json
from segdemo.checkpoints.loading import load_frozen
from segdemo.datatypes import InputError
from segdemo.diffegg.adapters import add_adapter
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_generator import EdgeGenerator
from segdemo.diffegg.features import (
    attention_level,
    feature_levels,
    finer_layers,
    photo_levels,
)
from segdemo.diffegg.loading import load_backbone
from segdemo.diffusion import pick_device
from training.data_problems import report_problems
from training.diffegg.data import EdgeBatches, EdgePair, find_edge_pairs
from training.diffegg.export import ANNOTATED, is_public, write_edge_model
from training.diffegg.model import DiffEGGModel, EdgeLosses
from training.diffegg.settings import DiffEGGSettings
from training.diffegg.validation import EdgeValidation
from training.holdout import check_apart, clamp_held_out, hold_out
from training.loop.average import load_trained_state
from training.loop.checkpoints import RunFiles, read_rows
from training.loop.trainer import Task, build_accelerator, train_loop
from training.model_card import push
from training.photo_weights import imagenet_features

logger = logging.getLogger(__name__)

EXPORT, BEST = "export", "best"
CHANNELS, SMALL_CHANNELS = 256, 64
PATHS = (
    "pictures",
    "pseudo_edges",
    "validation_pictures",
    "validation_pseudo_edges",
    "output_dir",
    "backbone",
    "device",
)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start. settings: with size and steps. files: of the base model.

    annotated: edges of people's annotations are among what it learns from, now or before.
    """

    settings: DiffEGGSettings
    files: BackboneFiles
    model: DiffEGGModel
    task: Task
    device: torch.device
    annotated: bool


def train(settings: DiffEGGSettings) -> Path:
    """Train and return the folder that the app opens; raises InputError."""
    prepared = prepare(settings)
    folder = Path(settings.output_dir)
    run = train_loop(prepared.task, folder, prepared.settings, prepared.device)
    state = PartialState()
    if state.is_main_process:
        export(prepared, run)
    state.wait_for_everyone()
    return folder / EXPORT


def prepare(settings: DiffEGGSettings) -> Prepared:
    """Check the data, load the model and build the task; raises InputError."""
    initial = _initial_generator(settings)
    pairs, held = _data(settings)
    device = build_accelerator(settings, pick_device(settings.device)).device
    files = locate_backbone(settings.backbone)
    if settings.push_to_hub and not is_public(files):
        raise InputError(
            f"--push_to_hub: what is trained belongs to {files.base}, which is not public: "
            "give --backbone a Hub id."
        )
    bare = replace(files, adapter=None, edge_generator=None)  # both are trained here
    backbone = load_backbone(bare, device, DTYPES[settings.precision])
    processes = PartialState().num_processes
    epoch = len(pairs) / (settings.batch_size * settings.accumulation * processes)
    settings = _completed(settings, backbone, epoch)
    torch.manual_seed(settings.first_seed)  # the same first weights on every process
    model = build_model(settings, files, backbone, initial)
    batches = EdgeBatches(
        pairs, settings.size, settings.batch_size, settings.smallest_crop, settings.rule
    )
    run_dir = Path(settings.output_dir)
    validation = EdgeValidation(model, batches, held, run_dir, settings.precision)
    scale = settings.generator_learning_rate / settings.learning_rate
    task = Task(
        model,
        batches,
        _losses(settings, model, epoch),
        validation if held else None,
        lambda name: scale if name.startswith("generator.") else 1.0,
        settings.batch_size,
    )
    logger.info("%d images, %d held out, %d steps", len(pairs), len(held), settings.max_steps)
    annotated = any(pair.annotated for pair in pairs) or _began_annotated(settings)
    return Prepared(settings, files, model, task, device, annotated)


def build_model(
    settings: DiffEGGSettings, files: BackboneFiles, backbone: Backbone, initial: Path | None = None
) -> DiffEGGModel:
    """Add a LoRA to the backbone and make its edge generator, both untrained.

    initial: folder of an edge generator to start from. Raises InputError where it differs in shape.
    """
    small = files.family == OWN_FAMILY
    if settings.features == "attention":
        levels = [attention_level(backbone, settings.size)]
    else:
        more = settings.more_layers or (finer_layers(backbone) if small else [])
        levels = feature_levels(backbone, [] if more == ["none"] else more)
    photo_features = None
    if settings.photo_features:
        photo_features = imagenet_features().to(backbone.device).eval()
        levels += photo_levels(photo_features)
    generator = EdgeGenerator(
        levels=[asdict(level) for level in levels],
        channels=settings.channels or (SMALL_CHANNELS if small else CHANNELS),
        size=settings.edge_size or settings.size,
        timestep=settings.timestep,
    )
    if initial is not None:
        _load_weights(generator, initial)
    seen = {name for level in levels for name in level.layers}
    layers = list(backbone.attention_layers())
    last = max(place for place, name in enumerate(layers) if name in seen)
    # Layers after the last one that is seen would learn from the reconstruction alone, and so would
    # values and output of one whose attention is seen
    end = last if settings.features == "attention" else last + 1
    if settings.rank:
        add_adapter(backbone, layers[:end], settings.rank)
    if settings.gradient_checkpointing:
        backbone.enable_gradient_checkpointing()
    model = DiffEGGModel(backbone, generator, photo_features, settings.relabel_every > 0)
    return model.to(backbone.device)


def export(prepared: Prepared, run: RunFiles) -> None:
    """Write `export/`, the averaged weights of the end, and `best/`, those that validated best.

    What goes to the Hub is the best, or the end where nothing was validated.
    """
    settings, model, files = prepared.settings, prepared.model, prepared.files
    annotated = prepared.annotated
    folder = Path(settings.output_dir)
    rows = read_rows(folder)
    last = _last_row(folder / "log.jsonl")
    training = {
        "recipe": "python -m training.diffegg",
        "settings": _public(settings),
        "last_log_row": last,
    }
    write_edge_model(model, files, training, rows, last["step"], folder / EXPORT, annotated)
    if run.best is not None:
        state = torch.load(run.best, map_location="cpu", weights_only=True)
        load_trained_state(model, state["average"]["values"])
        training |= {"step": state["step"]}
        write_edge_model(model, files, training, rows, state["step"], folder / BEST, annotated)
    if settings.push_to_hub:
        push(folder / (EXPORT if run.best is None else BEST), settings.push_to_hub)


def _data(settings: DiffEGGSettings) -> tuple[list[EdgePair], list[EdgePair]]:
    """Return the pairs to train on and those held out; raises InputError for problems in them."""
    folder = Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    found = find_edge_pairs(Path(settings.pictures), Path(settings.pseudo_edges), settings.rule)
    problems, other = list(found.problems), None
    if settings.validation_pictures and settings.validate_steps:
        images, edges = settings.validation_pictures, settings.validation_pseudo_edges
        other = find_edge_pairs(Path(images), Path(edges), settings.rule)
        problems += other.problems
    report_problems(problems, settings.allow_problems, folder / "problems.txt")
    if not found.pairs:
        raise InputError("No image is left to train on.")
    if found.without:
        logger.info("%d images have no pseudo-edges yet and are left out", found.without)
    wanted = settings.validation_count if settings.validate_steps else 0
    rng = np.random.default_rng([settings.validation_seed, 4])
    if other is not None:
        training, held = found.pairs, hold_out(other.pairs, wanted, rng)[1]
    else:
        count = clamp_held_out(wanted, len(found.pairs))
        training, held = hold_out(found.pairs, count, rng)
    check_apart([pair.image for pair in training], [pair.image for pair in held])
    return training, held


def _completed(settings: DiffEGGSettings, backbone: Backbone, epoch: float) -> DiffEGGSettings:
    """Fill in what depends on model and data. epoch: steps in which every image is seen once."""
    of_epochs = math.ceil(epoch * settings.epochs) or settings.max_steps
    return replace(
        settings,
        size=settings.size or backbone.native_size,
        max_steps=min(of_epochs, settings.max_steps),
        epoch_steps=settings.epoch_steps or math.ceil(epoch),
    )


def _losses(settings: DiffEGGSettings, model: DiffEGGModel, epoch: float) -> EdgeLosses:
    every = settings.relabel_every
    return EdgeLosses(
        model,
        settings.reconstruction,
        settings.reconstruction_weight,
        settings.cross_entropy,
        max(1, round(epoch * every)) if every else 0,
        settings.sure_edge,
        settings.sure_interior,
    )


def _initial_generator(settings: DiffEGGSettings) -> Path | None:
    """Return the folder of the generator that a run starts from; raises InputError."""
    if not settings.start_from:
        return None
    folder = Path(settings.start_from).expanduser()
    if not (folder / EDGE_GENERATOR).is_dir() or not (folder / CARD).is_file():
        raise InputError(
            f"--start_from {settings.start_from}: not a folder with {EDGE_GENERATOR}/ and {CARD}: "
            "give an export of training.diffegg."
        )
    if (folder / ADAPTER).is_dir():
        raise InputError(
            f"--start_from {settings.start_from}: its edge generator belongs to the LoRA beside "
            "it, which a run cannot start from: give one that was trained with --rank 0."
        )
    return folder / EDGE_GENERATOR


def _began_annotated(settings: DiffEGGSettings) -> bool:
    """Return whether the generator that a run starts from learned from people's annotations."""
    if not settings.start_from:
        return False
    folder = Path(settings.start_from).expanduser()
    return read_card(folder, folder.name).edge_training.startswith(ANNOTATED)


def _load_weights(generator: EdgeGenerator, folder: Path) -> None:
    """Load the weights of another generator of the same architecture; raises InputError."""
    trained = load_frozen(EdgeGenerator, folder, torch.float32).state_dict()
    own = {name: tensor.shape for name, tensor in generator.state_dict().items()}
    if own != {name: tensor.shape for name, tensor in trained.items()}:
        raise InputError(
            f"--start_from: {folder} has another architecture: give the same --photo_features, "
            "--channels and --more_layers as it was trained with."
        )
    generator.load_state_dict(trained)


def _public(settings: DiffEGGSettings) -> dict[str, Any]:
    """Return the settings without the paths of this machine; of an earlier run, how it was made."""
    hyperparameters: dict[str, Any] = {k: v for k, v in asdict(settings).items() if k not in PATHS}
    if settings.start_from:
        training = read_json(Path(settings.start_from).expanduser() / CARD).get("training", {})
        hyperparameters["start_from"] = training.get("history", {}).get("edge_generator", training)
    return hyperparameters


def _last_row(log: Path) -> dict[str, Any]:
    return dict(json.loads(log.read_text().splitlines()[-1])) if log.exists() else {}
