"""Train DiffDIS in the compact autoencoder's latents, beside U2NetP's features and first answer.

    python -m training.small.compact.subject --data_dir material --autoencoder runs/autoencoder/vae

The one step starts from the latents of the first answer, in place of noise. `--stages scenes`
composes scenes and needs no autoencoder, `--stages latents` encodes them, `--stages train` learns
from as many as there are; all go on where they were stopped. `unet/` in the folder has the averaged
weights with the best validation.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from segdemo.compact_autoencoder import CompactAutoencoder
from segdemo.datatypes import InputError
from segdemo.diffdis.loading import load_unet, save_unet
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import decode_latents, pick_device
from segdemo.precision import fastest_precision
from segdemo.settings import setting
from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP
from training.loop.sampling import BatchIndex
from training.loop.settings import same_as
from training.loop.trainer import Losses, Task, train_loop
from training.program import run_program
from training.run_lock import one_run
from training.small.compact.material import find_material
from training.small.compact.scene_material import SceneMaterial
from training.small.compact.settings import CompactSettings, loop_settings
from training.small.compact.subject_store import (
    SubjectBatch,
    SubjectStore,
    compose_scenes,
    encode_scenes,
)
from training.small.networks import build_null_text, build_prior, build_scheduler

STAGES = ("scenes", "latents", "train")
BOUNDARY_WEIGHT = 4.0  # of pixels near a mask's border, beside 1 for all
BOUNDARY = 9  # pixels across


@dataclass(frozen=True)
class SubjectSettings(CompactSettings):
    """Scenes, network and regularisation."""

    own_folder = False  # its stages may run side by side: each has a lock of its own

    output_dir: str = setting("runs/subject", "Folder of the run.", may_change=True)
    autoencoder: str = setting("", "Folder of a compact autoencoder.", may_change=True)
    start_from: str = field(
        default="",
        metadata={
            "help": "Folder of a DiffDIS U-Net; what fits of its weights is the beginning.",
            "may_change": True,
        },
    )
    stages: list[str] = field(
        default_factory=lambda: list(STAGES),
        metadata={"help": f"Any of {', '.join(STAGES)}.", "may_change": True},
    )
    scene_count: int = setting(4096, "Scenes to compose and encode.", minimum=1)
    image_size: int = setting(256, "Side of the scenes in pixels.", minimum=64, maximum=2048)
    batch_size: int = setting(8, "Scenes a step.", minimum=1)
    validation_count: int = setting(64, "Scenes of a validation.", minimum=1)
    edge_weight: float = setting(0.5, "Weight of edge latents' errors.", minimum=0)
    pixel_weight: float = setting(1.0, "Weight of decoded masks' errors.", minimum=0)
    image_noise: float = setting(
        0.3, "Standard deviation of noise on the image's latents.", minimum=0
    )
    dropout: float = setting(
        0.1, "Share of features and of first answers left out.", minimum=0, maximum=1
    )
    learning_rate: float = same_as(CompactSettings, "learning_rate", default=6e-4)


def subject_losses(
    pipeline: DiffDISPipeline, batch: SubjectBatch, edge_weight: float, pixel_weight: float
) -> Losses:
    """Return errors of mask and edge latents and of the decoded masks, and the masks' IoU."""
    clean = pipeline.denoise(batch.image, batch.pyramid, batch.start.repeat(2, 1, 1, 1))
    mask, edge = clean.chunk(2)  # (B, C, S/8, S/8) each
    losses = {"mask": F.mse_loss(mask, batch.mask), "edge": F.mse_loss(edge, batch.edge)}
    decoded = decode_latents(pipeline.autoencoder, mask).mean(1, keepdim=True)  # (B, 1, S, S)
    losses["pixel"] = mask_loss(decoded / 2 + 0.5, batch.truth)
    total = losses["mask"] + edge_weight * losses["edge"] + pixel_weight * losses["pixel"]
    found = (decoded.detach() / 2 + 0.5).clamp(0, 1)
    return {"loss": total, **losses, "iou": mean_iou(found, batch.truth)}


def mask_loss(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return absolute error, weighted near borders, plus 1 - soft IoU; maps are (B, 1, S, S)."""
    highest, lowest = (
        sign * F.max_pool2d(sign * truth, BOUNDARY, 1, BOUNDARY // 2) for sign in (1, -1)
    )
    weight = 1 + BOUNDARY_WEIGHT * (highest - lowest)
    absolute = ((found - truth).abs() * weight).sum() / weight.sum()
    bounded = found.clamp(0, 1)
    both = (bounded * truth).sum((1, 2, 3))
    either = (bounded + truth - bounded * truth).sum((1, 2, 3))
    return 2 * absolute + (1 - both / either.clamp_min(1)).mean()


def mean_iou(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the mean IoU at 0.5 of B maps (B, 1, S, S)."""
    found, truth = found > 0.5, truth > 0.5
    both, either = (found & truth).sum((1, 2, 3)), (found | truth).sum((1, 2, 3))
    return (both / either.clamp_min(1)).mean()


def build_pipeline(
    settings: SubjectSettings, saliency: U2NetP, device: torch.device
) -> DiffDISPipeline:
    """Return the pipeline with the network that training begins with."""
    autoencoder = CompactAutoencoder.from_pretrained(settings.autoencoder).requires_grad_(False)
    if settings.start_from:
        unet = load_unet(Path(settings.start_from))
    else:
        unet = DiffDISUNet.from_stable_diffusion(build_prior())
    widths, channels = saliency.condition_widths, autoencoder.config.latent_channels
    if (unet.config.out_channels, tuple(unet.config.photo_widths)) != (channels, widths):
        unet = unet.with_latents(channels, widths)
    parts = (unet, autoencoder, build_scheduler(), build_null_text())
    return DiffDISPipeline(*parts, native_size=settings.image_size).to(device)


def compose(settings: SubjectSettings, saliency: U2NetP) -> None:
    """Write the scenes of `validation/` and `scenes/`."""
    folder = Path(settings.output_dir)
    for name, kept, count in (
        ("validation", True, settings.validation_count),
        ("scenes", False, settings.scene_count),
    ):
        material = SceneMaterial(find_material(Path(settings.data_dir), validation=kept))
        compose_scenes(material, saliency, folder / name, count, settings.image_size, settings.seed)


def learn(settings: SubjectSettings, pipeline: DiffDISPipeline, device: torch.device) -> None:
    """Train the network on the scenes that are there; writes `unet/`."""
    folder = Path(settings.output_dir)
    scenes, kept = SubjectStore(folder / "scenes"), SubjectStore(folder / "validation")
    size = settings.batch_size
    best = -1.0

    def losses(batch: SubjectBatch, index: BatchIndex) -> Losses:
        batch = batch.disturbed(settings.image_noise, settings.dropout)
        return subject_losses(pipeline, batch, settings.edge_weight, settings.pixel_weight)

    def validate() -> dict[str, float]:
        nonlocal best
        rows = []
        for start in range(0, len(kept), size):
            batch = kept.batch(np.arange(start, min(start + size, len(kept))))
            row = subject_losses(pipeline, batch, settings.edge_weight, settings.pixel_weight)
            row["first_answer"] = mean_iou(batch.answer, batch.truth)
            rows.append({name: float(value) for name, value in row.items()})
        names = ("iou", "first_answer", "loss", "pixel", "edge")
        figures = {name: float(np.mean([row[name] for row in rows])) for name in names}
        if figures["iou"] >= best:
            best = figures["iou"]
            save_unet(pipeline.unet, folder / "unet")
        return figures

    def make(index: BatchIndex) -> SubjectBatch:
        return scenes.batch(index.items(len(scenes), size))

    task = Task(pipeline.unet, make, losses, validate, batch_size=size)
    train_loop(task, folder, loop_settings(settings, device), device)


def train(settings: SubjectSettings) -> None:
    """Run the stages that are asked for; raises InputError for what does not work."""
    unknown = set(settings.stages) - set(STAGES)
    if unknown:
        raise InputError(f"No stage {sorted(unknown)[0]!r}: choose from {', '.join(STAGES)}.")
    with ExitStack() as locks:
        for stage in settings.stages:
            locks.enter_context(one_run(Path(settings.output_dir), stage))
        _run_stages(settings)


def _run_stages(settings: SubjectSettings) -> None:
    device = pick_device(settings.device)
    torch.manual_seed(settings.first_seed)
    saliency = U2NetP.from_pretrained(U2NETP_WEIGHTS, torch_dtype=torch.float32).eval()
    fast = torch.autocast("cpu", torch.bfloat16, enabled=fastest_precision(device) == "bf16")
    if "scenes" in settings.stages:
        with fast:
            compose(settings, saliency.to(memory_format=torch.channels_last))
    if settings.stages == ["scenes"]:
        return
    if not settings.autoencoder:
        raise InputError("--autoencoder is missing: give the folder of a compact autoencoder.")
    pipeline = build_pipeline(settings, saliency, device)
    if "latents" in settings.stages:
        for name in ("validation", "scenes"):
            encode_scenes(pipeline, Path(settings.output_dir) / name)
    if "train" in settings.stages:
        learn(settings, pipeline, device)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage, 1 for a loss that is not a number."""
    return run_program(train, SubjectSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
