"""Train the embedded small model: scenes, autoencoder, latents, prior, DiffDIS, export.

    python -m training.small --material_dir train_mix --output_dir runs/small --stages all

Every stage resumes where it was stopped and skips what is complete. The stages' times are budgets
of this machine's wall clock; `--minutes` scales them all.
"""

import csv
import logging
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
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
from training.latent_store import LatentStore, encode_store
from training.loop import LoopSettings, Losses, train_loop
from training.losses import diffdis_losses, prior_losses, pyramid_noise
from training.scene_store import SceneStore, compose_store

logger = logging.getLogger(__name__)

STAGES = ("scenes", "autoencoder", "latents", "prior", "diffdis", "export")


@dataclass(frozen=True)
class SmallSettings:
    """The recipe's knobs; the defaults are those of the shipped weights."""

    material_dir: str = field(metadata={"help": "Folder of training/README.md's material."})
    output_dir: str = field(default="runs/small", metadata={"help": "Where everything goes."})
    stages: list[str] = field(
        default_factory=lambda: ["all"], metadata={"help": f"Some of {', '.join(STAGES)}; or all."}
    )
    scene_count: int = field(default=16384, metadata={"help": "Scenes to compose."})
    image_size: int = field(default=256, metadata={"help": "Side of the scenes in pixels."})
    minutes: float = field(default=120.0, metadata={"help": "Training time of all stages."})
    max_steps: int = field(default=1_000_000, metadata={"help": "Most steps a stage."})
    vae_batch_size: int = field(default=6, metadata={"help": "Crops a step of the autoencoder."})
    batch_size: int = field(default=16, metadata={"help": "Pictures a step."})
    precision: str = field(default="bf16", metadata={"help": "fp32 or bf16 (autocast)."})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or mps."})
    workers: int = field(default=2, metadata={"help": "Processes that compose scenes."})
    seed: int = field(default=0, metadata={"help": "Seed of everything."})


SHARE_OF_TIME = {"autoencoder": 0.13, "prior": 0.17, "diffdis": 0.70}


def train_autoencoder(settings: SmallSettings, device: torch.device) -> None:
    """Stage 1; writes `vae/`."""
    folder = Path(settings.output_dir)
    scenes = SceneStore.open(folder / "scenes")
    torch.manual_seed(settings.seed)
    autoencoder = build_autoencoder()

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng([settings.seed, 1, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        pictures = autoencoder_batch(scenes, settings.vae_batch_size, rng).to(device)
        return autoencoder_losses(autoencoder, pictures, generator)

    average = train_loop(
        autoencoder, losses_of_step, folder / "autoencoder", _loop(settings, "autoencoder"), device
    )
    average.eval()
    average.register_to_config(scaling_factor=latent_scale(average, scenes))
    average.save_pretrained(folder / "vae")


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
    encode_store(scenes, pipeline, folder / "latents", settings.seed)


def train_prior(settings: SmallSettings, device: torch.device) -> None:
    """Stage 2, latent diffusion on scenes without CutMix; writes `prior/`."""
    folder = Path(settings.output_dir)
    latents = LatentStore(folder / "latents")
    torch.manual_seed(settings.seed)
    unet, scheduler, null_text = build_prior(), build_scheduler(), build_null_text().to(device)

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng([settings.seed, 3, step])
        pictures = latents.batch(rng.choice(latents.plain, settings.batch_size), device).picture
        return prior_losses(unet, scheduler, pictures, null_text, rng)

    average = train_loop(
        unet, losses_of_step, folder / "prior_run", _loop(settings, "prior"), device
    )
    average.save_pretrained(folder / "prior")


def train_diffdis(settings: SmallSettings, device: torch.device) -> None:
    """Stage 3, one-step mask and edge prediction; writes `unet/`."""
    folder = Path(settings.output_dir)
    latents = LatentStore(folder / "latents")
    torch.manual_seed(settings.seed)
    prior = UNet2DConditionModel.from_pretrained(folder / "prior")
    pipeline = _pipeline(settings, DiffDISUNet.from_stable_diffusion(prior), device)

    def losses_of_step(step: int) -> Losses:
        rng = np.random.default_rng([settings.seed, 4, step])
        batch = latents.batch(rng.integers(0, len(latents), settings.batch_size), device)
        shape = (2 * settings.batch_size, *batch.picture.shape[1:])
        noise = pyramid_noise(shape, rng).to(device)
        return diffdis_losses(pipeline, batch.picture, batch.pyramid, batch.mask, batch.edge, noise)

    average = train_loop(
        pipeline.unet, losses_of_step, folder / "diffdis_run", _loop(settings, "diffdis"), device
    )
    save_unet(average, folder / "unet")


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
        ("vae", AutoencoderKL.from_pretrained(folder / "vae")),
        ("prior", UNet2DConditionModel.from_pretrained(folder / "prior")),
    ):
        network.half().save_pretrained(target / name, max_shard_size=LARGEST_SHARD)
    build_scheduler().save_pretrained(target / "scheduler")
    save_file({"null_text": build_null_text()}, target / "null_text.safetensors")
    training = {
        "recipe": "python -m training.small",
        "settings": {k: v for k, v in asdict(settings).items() if not k.endswith("_dir")},
        "hardware": _hardware(device),
        "stages": {name: _last_log_row(folder / run / "log.csv") for name, run in RUNS.items()},
        "data": "training/README.md",
    }
    card = ModelCard(
        name="small",
        licence="MIT (weights); training data under the licences named in training/README.md",
        native_size=settings.image_size,
        base=None,
        training=training,
    )
    write_card(card, target)


RUNS = {"autoencoder": "autoencoder", "prior": "prior_run", "diffdis": "diffdis_run"}

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
    wanted = list(PROGRAMS) if "all" in settings.stages else settings.stages
    unknown = set(wanted) - set(PROGRAMS)
    if unknown:
        raise InputError(
            f"No stage {sorted(unknown)[0]!r}: choose from {', '.join(PROGRAMS)}, all."
        )
    device = pick_device(settings.device)
    for stage, program in PROGRAMS.items():
        if stage in wanted:
            logger.info("stage %s", stage)
            program(settings, device)


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


def _loop(settings: SmallSettings, stage: str) -> LoopSettings:
    return LoopSettings(
        minutes=SHARE_OF_TIME[stage] * settings.minutes,
        max_steps=settings.max_steps,
        learning_rate=8e-4 if stage == "autoencoder" else 4e-4,
        precision=settings.precision,
        seed=settings.seed,
    )


def _last_log_row(file: Path) -> dict[str, str]:
    with file.open() as handle:
        *_, last = csv.DictReader(handle)
    return last


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())
