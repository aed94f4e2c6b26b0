"""The model that DiffDIS's training starts from: Stable Diffusion, or a DiffDIS model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from segdemo.checkpoints.backbone import BackboneFiles, locate_backbone
from segdemo.checkpoints.card import CARD, ModelCard
from segdemo.checkpoints.configs import read_config
from segdemo.checkpoints.diffdis import DiffDISFiles, locate_diffdis
from segdemo.checkpoints.files import network_files, read_header, read_json
from segdemo.checkpoints.loading import load_frozen
from segdemo.checkpoints.locate import HUB_ID, download
from segdemo.checkpoints.registry import registered_source
from segdemo.datatypes import InputError
from segdemo.diffdis.denoising import ONE_STEP
from segdemo.diffdis.loading import SD_TURBO_SCHEDULE, assemble, load_network
from segdemo.diffdis.parameter_names import our_name
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import BDE_CONFIG, DiffDISUNet

INDEX = "model_index.json"
NOISE_KEYS = (
    "beta_start",
    "beta_end",
    "beta_schedule",
    "num_train_timesteps",
    "prediction_type",
)
"""Taken from a model's own noise schedule; the rest is DiffDIS's one step from timestep 999."""


@dataclass(frozen=True)
class Ablation:
    """The network that is trained: the paper's, or one of its ablations."""

    edge_task: bool = True
    interaction: str = "dbia"
    scale_injection: bool = True
    denoising: str = ONE_STEP

    def config(self) -> dict[str, Any]:
        """Return the network's own part of its config."""
        return vars(self) | (BDE_CONFIG if self.edge_task else dict.fromkeys(BDE_CONFIG))


@dataclass(frozen=True)
class BaseModel:
    """A pipeline ready for training, its name and licence, and how it is best used."""

    pipeline: DiffDISPipeline
    name: str
    licence: str
    segment: dict[str, bool]


def load_base(name: str, ablation: Ablation, start: str, seed: int) -> BaseModel:
    """Load the model to start from, in float32.

    name: a registered model, a folder or a Hub id; of DiffDIS as our export writes it, or of Stable
    Diffusion as diffusers saves it. start: trained; prior, the generative model that lies in a
    folder of ours; or scratch, random weights of the same shape. `seed` initializes layers
    that it lacks. Raises InputError (CheckpointError for the files).
    """
    torch.manual_seed(seed)
    generative = is_stable_diffusion(name)
    if generative and start == "prior":
        raise InputError(f"{name} is a generative model itself: leave --from_prior out.")
    if generative or start == "prior":
        backbone = locate_backbone(name)
        unet = _plain_unet(backbone.network, start)
        files = _files_of(backbone)
        pipeline = assemble(files, DiffDISUNet.from_stable_diffusion(unet, **vars(ablation)))
        if generative:
            pipeline.scheduler = _one_step_scheduler(backbone.folder)
        return BaseModel(pipeline, name, files.card.licence, {})
    files = locate_diffdis(name)
    unet = _adapted(load_network(files), ablation, start)
    return BaseModel(assemble(files, unet), name, files.card.licence, files.card.segment)


def is_stable_diffusion(name: str) -> bool:
    """Whether a name is a model as diffusers saves it, with a plain U-Net."""
    folder = Path(name).expanduser()
    if registered_source(name, "diffdis") or folder.is_file():
        return False
    if not folder.is_dir():
        if not HUB_ID.fullmatch(name):
            return False
        folder = download(name, [INDEX, CARD])
        return (folder / INDEX).exists() and not (folder / CARD).exists()
    if (folder / CARD).exists() or not (folder / INDEX).exists():
        return False
    names = (name for file in network_files(folder / "unet").files for name in read_header(file))
    return not any(our_name(name).startswith("injectors.") for name in names)


def _plain_unet(folder: Path, start: str) -> UNet2DConditionModel:
    if start == "scratch":
        return UNet2DConditionModel.from_config(read_config(folder, "UNet2DConditionModel"))
    return load_frozen(UNet2DConditionModel, folder, torch.float32).requires_grad_(True)


def _adapted(unet: DiffDISUNet, ablation: Ablation, start: str) -> DiffDISUNet:
    """Return the network in that ablation, with all weights that both have."""
    if start != "scratch" and ablation.config().items() <= dict(unet.config).items():
        return unet
    network = DiffDISUNet.from_config(unet.config, **ablation.config())
    if start != "scratch":
        own, trained = network.state_dict(), unet.state_dict()
        network.load_state_dict(own | {name: trained[name] for name in own.keys() & trained.keys()})
    return network


def _files_of(backbone: BackboneFiles) -> DiffDISFiles:
    card = ModelCard(backbone.name, backbone.licence, backbone.native_size, base=None)
    return DiffDISFiles(card, backbone.folder, backbone.network)


def _one_step_scheduler(folder: Path) -> DDPMScheduler:
    own = read_json(folder / "scheduler" / "scheduler_config.json")
    kept = {key: own[key] for key in NOISE_KEYS if key in own}
    return DDPMScheduler.from_config(SD_TURBO_SCHEDULE | kept)
