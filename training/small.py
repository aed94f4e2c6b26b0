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

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import HfArgumentParser

from segdemo.checkpoints import ModelCard
from segdemo.datatypes import InputError
from segdemo.diffdis.loading import (
    LARGEST_SHARD,
    SD_TURBO_SCHEDULE,
    load_unet,
    save_unet,
    write_card,
)
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import pick_device
from training.autoencoder import (
    autoencoder_batch,
    autoencoder_losses,
    build_autoencoder,
    latent_scale,
)
from training.draws import Draw
from training.latent_store import LatentBatch, LatentStore, encode_store
from training.loop import LoopSettings, Losses, Task, autocast, train_loop
from training.losses import diffdis_losses, prior_losses, pyramid_noise
from training.scene_store import SceneStore, compose_store

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
    minutes: float = field(default=120.0, metadata={"help": "Training time of the stages in all."})
    max_steps: int = field(default=1_000_000, metadata={"help": "Most steps a stage."})
    vae_batch_size: int = field(default=6, metadata={"help": "Crops a step of the autoencoder."})
    batch_size: int = field(default=16, metadata={"help": "Pictures a step."})
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

    task = Task(autoencoder, make, losses)
    train_loop(task, folder / "autoencoder", _loop(settings, "autoencoder"), device)
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
    pipeline = _pipeline(settings, DiffDISUNet.from_stable_diffusion(build_prior()), device)
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

    task = Task(unet, make, losses)
    train_loop(task, folder / "prior_run", _loop(settings, "prior"), device)
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
    pipeline = _pipeline(settings, unet, device)

    def make(draw: Draw) -> LatentBatch:
        return latents.batch(draw.items(len(latents), settings.batch_size))

    def losses(batch: LatentBatch, draw: Draw) -> Losses:
        batch = batch.to(device)
        shape = (2 * settings.batch_size, *batch.picture.shape[1:])
        noise = pyramid_noise(shape, draw.rng).to(device)
        return diffdis_losses(pipeline, batch.picture, batch.pyramid, batch.mask, batch.edge, noise)

    task = Task(pipeline.unet, make, losses)
    train_loop(task, folder / "diffdis_run", _loop(settings, "diffdis"), device)
    _remember(settings, "diffdis", "diffdis_run", device)
    save_unet(pipeline.unet, folder / "unet")


def build_prior() -> UNet2DConditionModel:
    """Return the untrained stage-2 U-Net, 14 M parameters.

    Self-attention at 1/16 and 1/32 of the picture and in the middle, as in Stable Diffusion at its
    native size; at 1/8 it would halve the images per second on a CPU.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 192, 192),
        layers_per_block=1,
        down_block_types=(
            "DownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        ),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=(1, 2, 3, 3),  # numbers of heads of 64; the name is diffusers' mistake
        use_linear_projection=True,
    )


def build_scheduler() -> DDPMScheduler:
    """Return SD-Turbo's noise schedule for networks that predict v.

    With v the last timestep's output is nearly the clean latent itself; a small network that
    predicts noise would first have to copy its input to one part in a hundred.
    """
    return DDPMScheduler.from_config(SD_TURBO_SCHEDULE | {"prediction_type": "v_prediction"})


def build_null_text() -> torch.Tensor:
    """Return the constant that stands for the empty prompt, (1, 2, 64): there is no text here."""
    return torch.ones(1, 2, 64)


def export(settings: SmallSettings, device: torch.device) -> None:
    """Write the checkpoint folder `export/` that the app opens, in float16 shards below 10 MB."""
    folder = Path(settings.output_dir)
    target = folder / "export"
    save_unet(load_unet(folder / "unet"), target / "unet", torch.float16)
    for name, network in (
        ("vae", AutoencoderKL.from_pretrained(Path(settings.output_dir) / "vae")),
        ("prior", UNet2DConditionModel.from_pretrained(folder / "prior")),
    ):
        network.half().save_pretrained(target / name, max_shard_size=LARGEST_SHARD)
        _forget_origin(target / name / "config.json")
    build_scheduler().save_pretrained(target / "scheduler")
    save_file({"null_text": build_null_text()}, target / "null_text.safetensors")
    training = {
        "recipe": "python -m training.small",
        "data": DATA,
        "history": _history(folder),
    }
    card = ModelCard(
        name="small",
        licence="MIT (weights); training data under the licences named in segdemo.json",
        native_size=settings.image_size,
        base=None,
        training=training,
        trace=TRACE,
    )
    write_card(card, target)


TRACE = {"size": 512, "fixed_timestep": 99}
"""How the prior is looked into: its largest maps have 1/16 of the picture's side, and edges read
from its nearly clean steps were better than at PeakKL's, which on a small model says little."""

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

PROGRAMS = {
    "scenes": compose_scenes,
    "autoencoder": train_autoencoder,
    "latents": encode_scenes,
    "prior": train_prior,
    "diffdis": train_diffdis,
    "export": export,
}


def train(settings: SmallSettings) -> None:
    """Run the wanted stages in order; raises InputError for an unknown stage."""
    device = pick_device(settings.device)
    # latents of one run must fit the weights of the next, and an export holds all of them
    for part in ("vae", "prior", "unet"):
        earlier, own = _earlier(settings, part), Path(settings.output_dir) / part
        if earlier and not own.exists():
            shutil.copytree(earlier, own)
    for stage in settings.chosen():
        logger.info("stage %s", stage)
        PROGRAMS[stage](settings, device)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    (settings,) = HfArgumentParser(SmallSettings).parse_args_into_dataclasses(argv)
    try:
        train(settings)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _pipeline(settings: SmallSettings, unet: DiffDISUNet, device: torch.device) -> DiffDISPipeline:
    autoencoder = AutoencoderKL.from_pretrained(Path(settings.output_dir) / "vae")
    parts = (unet, autoencoder, build_scheduler(), build_null_text())
    return DiffDISPipeline(*parts, native_size=settings.image_size).to(device)


def _earlier(settings: SmallSettings, part: str) -> Path | None:
    """Return that part of the run this one starts from, if there is one."""
    folder = Path(settings.start_from) / part
    return folder if settings.start_from and folder.exists() else None


def _loop(settings: SmallSettings, stage: str) -> LoopSettings:
    wanted = sum(weight for name, weight in TIME_WEIGHTS.items() if name in settings.chosen())
    return LoopSettings(
        minutes=settings.minutes * TIME_WEIGHTS[stage] / wanted,
        max_steps=settings.max_steps,
        learning_rate=8e-4 if stage == "autoencoder" else 4e-4,
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


def _forget_origin(config: Path) -> None:
    """Take the path of this machine out of a config that diffusers wrote."""
    entries = json.loads(config.read_text())
    entries.pop("_name_or_path", None)
    config.write_text(json.dumps(entries, indent=2) + "\n")


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())
