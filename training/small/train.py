"""Train the embedded small model: scenes, autoencoder, latents, prior, DiffDIS, export.

    python -m training.small --material_dir train_mix --output_dir runs/small --stages all

Every stage resumes where it was stopped and skips what is complete. `--minutes` is wall-clock time
of this machine, shared out among the training stages asked for. A run at another picture size may
start from an earlier run's weights with `--start_from`.
"""

import csv
import json
import logging
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import HfArgumentParser

from segdemo.datatypes import InputError
from segdemo.diffdis.loading import load_unet, save_unet
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import pick_device
from segdemo.photo_features import PhotoFeatures
from segdemo.terminal import print_any_text
from training.diffdis.losses import PixelTask, diffdis_losses, prior_losses, pyramid_noise
from training.loop.sampling import Draw
from training.loop.trainer import (
    LoopSettings,
    Losses,
    Task,
    autocast,
    build_accelerator,
    train_loop,
)
from training.photo_weights import imagenet_features
from training.small.autoencoder import (
    autoencoder_batch,
    autoencoder_losses,
    build_autoencoder,
    latent_scale,
)
from training.small.export import export_imagenet, export_pure
from training.small.latents import LatentBatch, LatentStore, blurred_memory, encode_store
from training.small.networks import build_null_text, build_prior, build_scheduler
from training.small.scenes.store import SceneStore, compose_store

logger = logging.getLogger(__name__)

TIME_WEIGHTS = {"autoencoder": 13, "prior": 17, "diffdis": 70}
HISTORY = "history.json"
STAGES = ("scenes", "autoencoder", "latents", "prior", "diffdis", "export")


@dataclass(frozen=True)
class SmallSettings:
    """The recipe's knobs; the defaults are those of the shipped weights."""

    material_dir: str = field(metadata={"help": "Folder of training/README.md's material."})
    output_dir: str = field(default="runs/small", metadata={"help": "Where everything goes."})
    start_from: str = field(
        default="",
        metadata={"help": "Folder of an earlier run; what it trained is this one's beginning."},
    )
    stages: list[str] = field(
        default_factory=lambda: ["all"], metadata={"help": f"Some of {', '.join(STAGES)}; or all."}
    )
    scene_count: int = field(default=16384, metadata={"help": "Scenes to compose."})
    image_size: int = field(default=256, metadata={"help": "Side of the scenes in pixels."})
    photo_features: bool = field(
        default=False,
        metadata={"help": "Let DiffDIS see ImageNet features too: the variant small-imagenet."},
    )
    pixel_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of decoded masks' errors beside those of latents; 0: none."},
    )
    picture_noise: float = field(
        default=0.0,
        metadata={
            "help": "Deviation of noise on DiffDIS's picture latents, against learning few "
            "photos by heart; latents have about 1."
        },
    )
    condition_dropout: float = field(
        default=0.0,
        metadata={
            "help": "Share of the channels left out that the network sees of a picture beside its "
            "latents, likewise."
        },
    )
    edge_model: str = field(
        default="",
        metadata={"help": "Folder that training.diffegg exported; its edge generator goes along."},
    )
    working_size: int = field(
        default=0,
        metadata={"help": "Side at which the exported model looks at pictures; 0: --image_size."},
    )
    minutes: float = field(default=120.0, metadata={"help": "Training time of the stages in all."})
    max_steps: int = field(default=1_000_000, metadata={"help": "Most steps a stage."})
    vae_batch_size: int = field(default=6, metadata={"help": "Crops a step of the autoencoder."})
    batch_size: int = field(default=16, metadata={"help": "Pictures a step."})
    learning_rate: float = field(
        default=4e-4,
        metadata={"help": "Peak rate of prior and DiffDIS; the autoencoder's is 8e-4."},
    )
    precision: str = field(default="bf16", metadata={"help": "fp32 or bf16 (autocast)."})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or mps."})
    workers: int = field(default=2, metadata={"help": "Processes that compose scenes."})
    seed: int = field(default=0, metadata={"help": "Seed of everything."})

    def chosen(self) -> list[str]:
        """Return the stages to run, in order; raises InputError for an unknown one."""
        unknown = set(self.stages) - {*STAGES, "all"}
        if unknown:
            raise InputError(
                f"No stage {sorted(unknown)[0]!r}: choose from {', '.join(STAGES)}, all."
            )
        return [stage for stage in STAGES if stage in self.stages or "all" in self.stages]


def train_autoencoder(settings: SmallSettings, device: torch.device) -> None:
    """Stage 1; writes `vae/`."""
    folder = Path(settings.output_dir)
    scenes = SceneStore.open(folder / "scenes")
    torch.manual_seed(settings.seed)
    autoencoder = build_autoencoder()

    def make(draw: Draw) -> torch.Tensor:
        return autoencoder_batch(scenes, settings.vae_batch_size, draw.rng)

    def losses(pictures: torch.Tensor, draw: Draw) -> Losses:
        generator = torch.Generator().manual_seed(draw.torch_seed)
        return autoencoder_losses(autoencoder, pictures.to(device), generator)

    task = Task(autoencoder, make, losses, batch_size=settings.vae_batch_size)
    train_loop(task, folder / "autoencoder", _loop(settings, "autoencoder"), device)
    if not PartialState().is_main_process:
        return
    _remember(settings, "autoencoder", "autoencoder", device)
    autoencoder.cpu().eval()
    autoencoder.register_to_config(scaling_factor=latent_scale(autoencoder, scenes))
    autoencoder.save_pretrained(folder / "vae")


def compose_scenes(settings: SmallSettings, device: torch.device) -> None:
    """Write `scenes/`."""
    compose_store(
        Path(settings.material_dir),
        Path(settings.output_dir) / "scenes",
        settings.scene_count,
        settings.image_size,
        settings.seed,
        settings.workers,
    )


def encode_scenes(settings: SmallSettings, device: torch.device) -> None:
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
        encode_store(scenes, pipeline, folder / "latents", settings.seed)


def train_prior(settings: SmallSettings, device: torch.device) -> None:
    """Stage 2, latent diffusion on scenes without CutMix; writes `prior/`."""
    folder = Path(settings.output_dir)
    latents = LatentStore(folder / "latents")
    torch.manual_seed(settings.seed)
    start = _earlier(settings, "prior")
    unet = UNet2DConditionModel.from_pretrained(start) if start else build_prior()
    scheduler, null_text = build_scheduler(), build_null_text().to(device)

    def make(draw: Draw) -> LatentBatch:
        chosen = draw.items(len(latents.plain), settings.batch_size)
        return latents.batch(latents.plain[chosen])

    def losses(batch: LatentBatch, draw: Draw) -> Losses:
        pictures = batch.to(device).picture
        return prior_losses(unet, scheduler, pictures, null_text, draw.rng)

    task = Task(unet, make, losses, batch_size=settings.batch_size)
    train_loop(task, folder / "prior_run", _loop(settings, "prior"), device)
    if PartialState().is_main_process:
        _remember(settings, "prior", "prior_run", device)
        unet.save_pretrained(folder / "prior")


def train_diffdis(settings: SmallSettings, device: torch.device) -> None:
    """Stage 3, one-step mask and edge prediction; writes `unet/`."""
    folder = Path(settings.output_dir)
    latents = LatentStore(folder / "latents")
    torch.manual_seed(settings.seed)
    start = _earlier(settings, "unet")
    if start:
        unet = load_unet(start)
    else:
        prior = UNet2DConditionModel.from_pretrained(folder / "prior")
        unet = DiffDISUNet.from_stable_diffusion(prior)
    if settings.photo_features and not unet.config.photo_widths:
        unet = unet.with_photo_features(PhotoFeatures().condition_widths)
    latents.check(unet)
    pipeline = _pipeline(settings, unet, device)

    def make(draw: Draw) -> LatentBatch:
        return latents.batch(draw.items(len(latents), settings.batch_size))

    def losses(batch: LatentBatch, draw: Draw) -> Losses:
        batch = blurred_memory(batch, settings.picture_noise, settings.condition_dropout).to(device)
        shape = (2 * settings.batch_size, *batch.picture.shape[1:])
        noise = pyramid_noise(shape, draw.rng).to(device)
        pixels = PixelTask(
            batch.pixels, settings.pixel_weight, np.random.default_rng(draw.torch_seed)
        )
        return diffdis_losses(
            pipeline,
            batch.picture,
            batch.pyramid,
            batch.mask,
            batch.edge,
            noise,
            pixels=pixels if settings.pixel_weight else None,
        )

    task = Task(pipeline.unet, make, losses, batch_size=settings.batch_size)
    train_loop(task, folder / "diffdis_run", _loop(settings, "diffdis"), device)
    if PartialState().is_main_process:
        _remember(settings, "diffdis", "diffdis_run", device)
        save_unet(pipeline.unet, folder / "unet")


def export(settings: SmallSettings, device: torch.device) -> None:
    """Write the checkpoint folder `export/` that the app opens."""
    folder = Path(settings.output_dir)
    write = export_imagenet if settings.photo_features else export_pure
    edges = Path(settings.edge_model) if settings.edge_model else None
    write(folder, settings.working_size or settings.image_size, _history(folder), edges)


PROGRAMS = {
    "scenes": compose_scenes,
    "autoencoder": train_autoencoder,
    "latents": encode_scenes,
    "prior": train_prior,
    "diffdis": train_diffdis,
    "export": export,
}


def train(settings: SmallSettings) -> None:
    """Run the wanted stages in order; raises InputError for an unknown stage.

    Of several processes all train, and the main one does the rest.
    """
    device = build_accelerator(_loop(settings, "diffdis"), pick_device(settings.device)).device
    state = PartialState()
    if state.is_main_process:
        _take_over(settings)
    state.wait_for_everyone()
    for stage in settings.chosen():
        if stage in TIME_WEIGHTS or state.is_main_process:
            logger.info("stage %s", stage)
            PROGRAMS[stage](settings, device)
        state.wait_for_everyone()


def _take_over(settings: SmallSettings) -> None:
    """Copy what an earlier run trained and this one does not."""
    # latents of one run must fit the weights of the next, and an export holds all of them
    for part in ("vae", "prior", "unet"):
        earlier, own = _earlier(settings, part), Path(settings.output_dir) / part
        if earlier and not own.exists():
            shutil.copytree(earlier, own)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage, 1 for a loss that is not a number."""
    print_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    (settings,) = HfArgumentParser(SmallSettings).parse_args_into_dataclasses(argv)
    try:
        train(settings)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"{error}; try --precision fp32 or a lower --learning_rate.", file=sys.stderr)
        return 1
    return 0


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


def _earlier(settings: SmallSettings, part: str) -> Path | None:
    """Return that part of the run this one starts from, if there is one."""
    folder = Path(settings.start_from) / part
    return folder if settings.start_from and folder.exists() else None


def _loop(settings: SmallSettings, stage: str) -> LoopSettings:
    asked = settings.chosen()
    wanted = sum(weight for name, weight in TIME_WEIGHTS.items() if name in asked) or 1
    return LoopSettings(
        minutes=settings.minutes * TIME_WEIGHTS[stage] / wanted,
        max_steps=settings.max_steps,
        learning_rate=8e-4 if stage == "autoencoder" else settings.learning_rate,
        precision=settings.precision,
        seed=settings.seed,
    )


def _remember(settings: SmallSettings, stage: str, run: str, device: torch.device) -> None:
    """Note in `history.json` what a training stage of this folder took and reached."""
    folder = Path(settings.output_dir)
    with (folder / run / "log.csv").open() as handle:
        *_, last = csv.DictReader(handle)
    knobs = {k: v for k, v in asdict(settings).items() if k not in ("material_dir", "output_dir")}
    if settings.start_from:
        knobs["start_from"] = _history(Path(settings.start_from))
    history = _history(folder) | {
        stage: {"settings": knobs, "hardware": _hardware(device), "last_log_row": last}
    }
    (folder / HISTORY).write_text(json.dumps(history, indent=1) + "\n")


def _history(folder: Path) -> dict[str, object]:
    file = folder / HISTORY
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}"
