"""Train the embedded model, stage by stage."""

import csv
import json
import logging
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from diffusers import AutoencoderKL, UNet2DConditionModel

from segdemo.checkpoints.card import CARD
from segdemo.checkpoints.files import read_json
from segdemo.diffdis.denoising import LAST_TIMESTEP
from segdemo.diffdis.loading import load_unet, save_unet
from segdemo.diffdis.noise import pyramid_noise
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import pick_device
from segdemo.photo_features import PhotoFeatures
from training.diffdis.latents import EncodedBatch
from training.diffdis.losses import PixelTargets, diffdis_losses
from training.loop.checkpoints import read_rows
from training.loop.sampling import BatchIndex
from training.loop.trainer import (
    Losses,
    Task,
    autocast,
    build_accelerator,
    train_loop,
)
from training.photo_weights import imagenet_features
from training.progress import is_complete, items_done
from training.small.autoencoder import (
    autoencoder_batch,
    autoencoder_losses,
    build_autoencoder,
    latent_scale,
)
from training.small.export import export_imagenet, export_pure
from training.small.latents import SceneBatch, SceneLatents, encode_scenes, regularize
from training.small.networks import build_null_text, build_prior, build_scheduler
from training.small.prior import prior_losses
from training.small.scenes.material import list_material
from training.small.scenes.store import SceneStore, compose_store
from training.small.settings import TIME_WEIGHTS, SmallSettings
from training.small.validation import SceneValidation

logger = logging.getLogger(__name__)

HISTORY = "history.json"


def train_autoencoder(settings: SmallSettings, device: torch.device) -> None:
    """Stage 1; writes `vae/`."""
    folder = Path(settings.output_dir)
    scenes = SceneStore.open(folder / "scenes")
    torch.manual_seed(settings.seed)
    autoencoder = build_autoencoder()

    def make(index: BatchIndex) -> torch.Tensor:
        return autoencoder_batch(scenes, settings.vae_batch_size, index.rng)

    def losses(images: torch.Tensor, index: BatchIndex) -> Losses:
        generator = torch.Generator().manual_seed(index.torch_seed)
        return autoencoder_losses(autoencoder, images.to(device), generator)

    task = Task(autoencoder, make, losses, batch_size=settings.vae_batch_size)
    train_loop(task, folder / "autoencoder", settings.of_stage("autoencoder"), device)
    if not PartialState().is_main_process:
        return
    _record(settings, "autoencoder", "autoencoder", device)
    autoencoder.cpu().eval()
    autoencoder.register_to_config(scaling_factor=latent_scale(autoencoder, scenes))
    autoencoder.save_pretrained(folder / "vae")


def compose_scenes(settings: SmallSettings, device: torch.device) -> None:
    """Write `scenes/`, and `validation/` of sources that are in none of the others."""
    folder, material = Path(settings.output_dir), Path(settings.material_dir)
    kept = settings.validation_count and not _composed_of_all(folder)
    if kept and not list_material(material, validation=True).has_subjects:
        logger.warning("%s is too small to keep anything of it for validation", material)
        kept = False
    stores = {"scenes": (list_material(material, False if kept else None), settings.scene_count)}
    if kept:
        validation = list_material(material, validation=True)
        stores = {"validation": (validation, settings.validation_count)} | stores
    for name, (files, count) in stores.items():
        size, seed, workers = settings.image_size, settings.seed, settings.workers
        compose_store(files, folder / name, count, size, seed, workers)


def _composed_of_all(folder: Path) -> bool:
    """Whether the scenes of a run were begun without keeping anything for validation."""
    return items_done(folder / "scenes") > 0 and not (folder / "validation").exists()


def write_latents(settings: SmallSettings, device: torch.device) -> None:
    """Write `latents/`."""
    folder = Path(settings.output_dir)
    unet = DiffDISUNet.from_stable_diffusion(build_prior())
    features = imagenet_features() if settings.photo_features else None
    if features is not None:
        unet = unet.with_photo_features(features.condition_widths)
    pipeline = _pipeline(settings, unet, device, features)
    for network in filter(None, (pipeline.autoencoder, features)):
        network.to(memory_format=torch.channels_last)  # on a CPU a third faster
    scenes = SceneStore.open(folder / "scenes").head(settings.scene_count)
    with autocast(device, settings.precision):
        encode_scenes(scenes, pipeline, folder / "latents", settings.seed)


def train_prior(settings: SmallSettings, device: torch.device) -> None:
    """Stage 2, latent diffusion on scenes without CutMix; writes `prior/`."""
    folder = Path(settings.output_dir)
    latents = SceneLatents(folder / "latents")
    torch.manual_seed(settings.seed)
    start = _initial_weights(settings, "prior")
    unet = UNet2DConditionModel.from_pretrained(start) if start else build_prior()
    scheduler, null_text = build_scheduler(), build_null_text().to(device)

    def make(index: BatchIndex) -> SceneBatch:
        chosen = index.items(len(latents.plain), settings.batch_size)
        return latents.batch(latents.plain[chosen])

    def losses(batch: SceneBatch, index: BatchIndex) -> Losses:
        images = batch.to(device).latents.image
        return prior_losses(unet, scheduler, images, null_text, index.rng)

    task = Task(unet, make, losses, batch_size=settings.batch_size)
    train_loop(task, folder / "prior_run", settings.of_stage("prior"), device)
    if PartialState().is_main_process:
        _record(settings, "prior", "prior_run", device)
        unet.save_pretrained(folder / "prior")


def train_diffdis(settings: SmallSettings, device: torch.device) -> None:
    """Stage 3, one-step mask and edge prediction; writes `unet/`."""
    folder = Path(settings.output_dir)
    latents = SceneLatents(folder / "latents")
    torch.manual_seed(settings.seed)
    start = _initial_weights(settings, "unet")
    if start:
        unet = load_unet(start)
    else:
        prior = UNet2DConditionModel.from_pretrained(folder / "prior")
        unet = DiffDISUNet.from_stable_diffusion(prior)
    if settings.photo_features and not unet.config.photo_widths:
        unet = unet.with_photo_features(PhotoFeatures().condition_widths)
    latents.check(unet)
    validation = None
    if is_complete(folder / "validation"):
        features = imagenet_features() if settings.photo_features else None
        pipeline = _pipeline(settings, unet, device, features)
        validation = SceneValidation(
            pipeline, SceneStore.open(folder / "validation"), settings.precision
        )
    else:
        pipeline = _pipeline(settings, unet, device)

    def make(index: BatchIndex) -> SceneBatch:
        return latents.batch(index.items(len(latents), settings.batch_size))

    def losses(batch: SceneBatch, index: BatchIndex) -> Losses:
        noise, dropout = settings.picture_noise, settings.condition_dropout
        batch = replace(batch, latents=regularize(batch.latents, noise, dropout)).to(device)
        shape = (2 * settings.batch_size, *batch.latents.image.shape[1:])
        encoded = EncodedBatch(
            batch.latents, pyramid_noise(shape, index.rng).to(device), (LAST_TIMESTEP,)
        )
        rng = np.random.default_rng(index.torch_seed)
        pixels = PixelTargets(batch.pixels, settings.pixel_weight, rng)
        return diffdis_losses(pipeline, encoded, pixels if settings.pixel_weight else None)

    task = Task(pipeline.unet, make, losses, validation, batch_size=settings.batch_size)
    train_loop(task, folder / "diffdis_run", settings.of_stage("diffdis"), device)
    if PartialState().is_main_process:
        _record(settings, "diffdis", "diffdis_run", device)
        save_unet(pipeline.unet, folder / "unet")


def export(settings: SmallSettings, device: torch.device) -> None:
    """Write the checkpoint folder `export/` that the app opens."""
    folder = Path(settings.output_dir)
    write = export_imagenet if settings.photo_features else export_pure
    edges = Path(settings.edge_model) if settings.edge_model else None
    write(folder, settings.working_size or settings.image_size, _history(folder), edges)


STAGE_FUNCTIONS = {
    "scenes": compose_scenes,
    "autoencoder": train_autoencoder,
    "latents": write_latents,
    "prior": train_prior,
    "diffdis": train_diffdis,
    "export": export,
}


def train(settings: SmallSettings) -> None:
    """Run the chosen stages in order; raises InputError.

    Of several processes all train, and the main one does the rest.
    """
    device = build_accelerator(settings.of_stage("diffdis"), pick_device(settings.device)).device
    state = PartialState()
    if state.is_main_process:
        _copy_weights(settings)
    state.wait_for_everyone()
    for stage in settings.chosen():
        if stage in TIME_WEIGHTS or state.is_main_process:
            logger.info("stage %s", stage)
            STAGE_FUNCTIONS[stage](settings, device)
        state.wait_for_everyone()


def _copy_weights(settings: SmallSettings) -> None:
    """Copy the weights of an earlier run that this one does not train."""
    # latents of one run must fit the weights of the next, and an export holds all of them
    for part in ("vae", "prior", "unet"):
        earlier, own = _initial_weights(settings, part), Path(settings.output_dir) / part
        if earlier and not own.exists():
            shutil.copytree(earlier, own)


def _pipeline(
    settings: SmallSettings,
    unet: DiffDISUNet,
    device: torch.device,
    features: PhotoFeatures | None = None,
) -> DiffDISPipeline:
    autoencoder = AutoencoderKL.from_pretrained(Path(settings.output_dir) / "vae")
    autoencoder.requires_grad_(False)
    parts = (unet, autoencoder, build_scheduler(), build_null_text())
    pipeline = DiffDISPipeline(*parts, native_size=settings.image_size, photo_features=features)
    return pipeline.to(device)


def _initial_weights(settings: SmallSettings, part: str) -> Path | None:
    """Return the folder of a part of the run that this one starts from, if there is one."""
    folder = settings.earlier / part if settings.earlier else None
    return folder if folder and folder.exists() else None


def _record(settings: SmallSettings, stage: str, run: str, device: torch.device) -> None:
    """Record settings and last log row of a training stage in `history.json`."""
    folder = Path(settings.output_dir)
    with (folder / run / "log.csv").open() as handle:
        *_, last = csv.DictReader(handle)
    hyperparameters = {
        k: v for k, v in asdict(settings).items() if k not in ("material_dir", "output_dir")
    }
    if settings.earlier:
        hyperparameters["start_from"] = _history(settings.earlier)
    entry = {"settings": hyperparameters, "hardware": _hardware(device), "last_log_row": last}
    if validations := read_rows(folder / run):
        entry["validation"] = {
            "before": validations[0],
            "after": validations[-1],
            "scenes": "composed of photos and cut-outs that are in no training scene",
        }
    history = _history(folder) | {stage: entry}
    (folder / HISTORY).write_text(json.dumps(history, indent=1) + "\n")


def _history(folder: Path) -> dict[str, object]:
    if (folder / HISTORY).exists():
        return dict(json.loads((folder / HISTORY).read_text()))
    if (folder / CARD).exists():  # a finished model
        return dict(read_json(folder / CARD).get("training", {}).get("history", {}))
    return {}


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}"
