"""Train DiffDIS: from settings to a folder that the app opens."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from segdemo.checkpoints.card import ModelCard
from segdemo.datatypes import InputError
from segdemo.diffdis.lora import add_lora, keep_statistics
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffusion import pick_device
from training.data_problems import report_problems
from training.diffdis.base import BaseModel, is_stable_diffusion, load_base
from training.diffdis.data import PairBatch, PairBatches
from training.diffdis.latents import (
    CachedBatches,
    EncodedBatch,
    LatentCache,
    PairLatents,
    encode_batch,
    hash_encoder,
)
from training.diffdis.losses import diffdis_losses
from training.diffdis.noise import NoiseSampler
from training.diffdis.pairs import (
    VALIDATION_PART,
    ImageMaskPair,
    check_pairs,
    find_pairs,
    spread,
)
from training.diffdis.settings import DiffDISTraining
from training.diffdis.validation import Validation, panels_of
from training.holdout import check_apart, clamp_held_out, hold_out
from training.loop.average import load_trained_state
from training.loop.checkpoints import RunFiles, read_rows
from training.loop.sampling import BatchIndex
from training.loop.settings import NO_LIMIT
from training.loop.trainer import Losses, Task, build_accelerator, train_loop
from training.model_card import push, write_lora, write_model, write_readme

logger = logging.getLogger(__name__)

LABEL_RATE = 10.0  # times the learning rate, of the embedding that tells mask from edge
MIN_VALIDATE_STEPS = 200  # epochs of a small folder are shorter


@dataclass(frozen=True)
class Data:
    """The pairs to train on and those to validate on. source: where the latter are from."""

    training: list[ImageMaskPair]
    validation: list[ImageMaskPair]
    source: str


def train(settings: DiffDISTraining) -> RunFiles:
    """Check the data, train, and write `export/` and `best/`; raises InputError."""
    accelerator = build_accelerator(settings, pick_device(settings.device))
    folder = Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    data = read_data(settings, folder, accelerator)
    start = "scratch" if settings.from_scratch else "prior" if settings.from_prior else "trained"
    base = load_base(settings.base_model, settings.ablation, start, settings.first_seed)
    if settings.rank:
        if is_stable_diffusion(settings.base_model):
            raise InputError(
                f"--rank: {settings.base_model} is no DiffDIS model, of whose layers some begin "
                "untrained: leave it out, or start from official."
            )
        torch.manual_seed(settings.first_seed)
        add_lora(base.pipeline.unet, settings.rank)
    pipeline = base.pipeline.to(accelerator.device)
    if settings.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    settings = _completed(settings, pipeline, len(data.training), accelerator)
    pipeline.native_size = settings.image_size
    task = Task(
        model=pipeline.unet,
        make=_maker(settings, data.training, pipeline, accelerator),
        losses=DiffDISLosses(pipeline, settings.precision, settings.rank > 0),
        validate=Validation(
            pipeline,
            data.validation,
            folder,
            settings.image_size,
            settings.precision,
            settings.panels,
        ),
        rate_scale=rate_scale,
        batch_size=settings.batch_size,
    )
    if accelerator.is_main_process:
        (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=1) + "\n")
    files = train_loop(task, folder, settings, accelerator.device)
    if accelerator.is_main_process:
        export(settings, base, data, files)
    accelerator.wait_for_everyone()
    return files


def read_data(settings: DiffDISTraining, folder: Path, accelerator: Accelerator) -> Data:
    """Find and check all pairs, before a model is loaded; raises InputError listing problems.

    Without a folder to validate on, that is DIS-VD beside DIS-TR, else a share of the pairs.
    """
    names, found = [settings.data_dir], [find_pairs(Path(settings.data_dir))]
    own = Path(settings.data_dir) / VALIDATION_PART
    chosen = settings.validation_dir or (str(own) if own.is_dir() else "")
    if chosen:
        names.append(chosen)
        found.append(find_pairs(Path(chosen), VALIDATION_PART))
    every = [pair for part in found for pair in part.pairs]
    with accelerator.main_process_first():  # the others read its report
        checked = check_pairs(every, folder / "checked.json", not accelerator.is_main_process)
    problems = [problem for part in (*found, checked) for problem in part.problems]
    lines = report_problems(problems, settings.allow_problems, folder / "problems.txt")
    if lines and accelerator.is_main_process:
        logger.info("%d problem(s), left out: see %s", len(lines), folder / "problems.txt")
    good = set(checked.pairs)
    training, *rest = ([pair for pair in part.pairs if pair in good] for part in found)
    if not all((training, *rest)):
        raise InputError(f"{' or '.join(names)} has no usable pair: see {folder / 'problems.txt'}.")
    source = Path(chosen).name if chosen else f"a share of {Path(settings.data_dir).name}"
    if rest:
        validation = rest[0]
    else:
        training, validation = hold_out_share(training, settings)
    check_apart([pair.image for pair in training], [pair.image for pair in validation])
    return Data(training, spread(validation, settings.validation_count), source)


def hold_out_share(
    pairs: list[ImageMaskPair], settings: DiffDISTraining
) -> tuple[list[ImageMaskPair], list[ImageMaskPair]]:
    """Split pairs by `validation_share`: at least one is held out, at most half.

    Raises InputError for a single pair, which cannot be split.
    """
    if len(pairs) < 2:
        raise InputError(
            f"{settings.data_dir} has one usable pair: give another one to validate on, or "
            "--validation_dir."
        )
    count = clamp_held_out(round(len(pairs) * settings.validation_share) or 1, len(pairs))
    return hold_out(pairs, count, np.random.default_rng([settings.validation_seed, 3]))


@dataclass(frozen=True)
class DiffDISLosses:
    """The losses of a batch, which is encoded first where it holds images.

    lora: a LoRA alone is trained.
    """

    pipeline: DiffDISPipeline
    precision: str
    lora: bool = False

    def __call__(self, batch: PairBatch | EncodedBatch, index: BatchIndex) -> Losses:
        """Return the losses of mask and edge."""
        device = self.pipeline.device
        if self.lora:
            keep_statistics(self.pipeline.unet)
        if isinstance(batch, PairBatch):
            # Stable Diffusion's autoencoder overflows in half precision
            enabled = self.precision == "bf16"
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=enabled):
                batch = encode_batch(self.pipeline, batch)
        return diffdis_losses(self.pipeline, batch.to(device))


def rate_scale(name: str) -> float:
    """Return the factor of a parameter's learning rate: 10 for the labels' embedding."""
    return LABEL_RATE if "class_embedding" in name else 1.0


def export(settings: DiffDISTraining, base: BaseModel, data: Data, files: RunFiles) -> None:
    """Write the averaged weights of the end and of the best validation, with their cards.

    The pipeline is left with the weights of the end; the best model is what goes to the Hub.
    """
    rows = read_rows(files.folder)
    best = max(range(len(rows)), key=lambda index: rows[index]["max_f"])
    end = {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}
    for name, index in (("export", len(rows) - 1), ("best", best)):
        if name == "best" and files.best is not None:
            state = torch.load(files.best, map_location="cpu", weights_only=True, mmap=True)
            load_trained_state(base.pipeline.unet, state["average"]["values"])
        target = files.folder / name
        card = _card(settings, base, data, rows[index], rows[0])
        if settings.rank and not settings.merge_lora and is_public(settings.base_model):
            write_lora(base.pipeline.unet, replace(card, lora_of=settings.base_model), target)
        else:
            write_model(base.pipeline, card, target, settings.export_precision)
        write_readme(target, card, rows, panels_of(files.folder, index + 1))
    base.pipeline.unet.load_state_dict(end)
    if settings.push_to_hub:
        push(files.folder / "best", settings.push_to_hub)


def _completed(
    settings: DiffDISTraining, pipeline: DiffDISPipeline, count: int, accelerator: Accelerator
) -> DiffDISTraining:
    """Fill in what depends on model and data: the size, and the steps of an epoch and in all."""
    images_per_step = settings.batch_size * settings.accumulation * accelerator.num_processes
    epoch_steps = max(1, -(-count // images_per_step))
    epochs_steps = round(settings.epochs * epoch_steps) or NO_LIMIT
    return replace(
        settings,
        image_size=settings.image_size or pipeline.native_size,
        epoch_steps=settings.epoch_steps or epoch_steps,
        max_steps=min(settings.max_steps, epochs_steps),
        validate_steps=settings.validate_steps or max(MIN_VALIDATE_STEPS, epoch_steps),
    )


def _maker(
    settings: DiffDISTraining,
    pairs: list[ImageMaskPair],
    pipeline: DiffDISPipeline,
    accelerator: Accelerator,
) -> PairBatches | CachedBatches:
    size, kind = settings.image_size, settings.noise
    noise = NoiseSampler(settings.batch_size, size, pipeline.tasks, settings.denoising, kind)
    stretched, augmented = not settings.fixed_range, not settings.no_augmentation
    if not settings.cache_latents:
        return PairBatches(pairs, noise, augmented, settings.mixed, stretched)
    latents = PairLatents(
        LatentCache(Path(settings.cache_latents)),
        size,
        stretched,
        pipeline.unet.condition_count,
        hash_encoder(pipeline),
    )
    own = pairs[accelerator.process_index :: accelerator.num_processes]
    latents.fill(own, pipeline, quiet=not accelerator.is_main_process)
    accelerator.wait_for_everyone()
    return CachedBatches(pairs, latents, noise, augmented)


def _card(
    settings: DiffDISTraining,
    base: BaseModel,
    data: Data,
    row: dict[str, float],
    before: dict[str, float],
) -> ModelCard:
    hyperparameters = asdict(settings)
    for name in ("data_dir", "validation_dir", "output_dir", "cache_latents"):
        hyperparameters[name] = Path(hyperparameters[name]).name  # no paths of this machine
    hyperparameters["base_model"] = _public_name(settings.base_model)
    device = base.pipeline.device
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return ModelCard(
        name=Path(settings.output_dir).name,
        licence=f"as {_public_name(base.name)}: {base.licence}",
        native_size=settings.image_size,
        base=None,
        segment=base.segment,
        noise=base.pipeline.noise,
        quality={
            **_figures(row),
            "pictures": len(data.validation),
            "from": data.source,
            "overlap": "none: compared with the training images by path and content",
            **({"before": _figures(before)} if before["step"] == 0 else {}),
        },
        training={
            "recipe": "python -m training.diffdis",
            "settings": hyperparameters,
            "pictures": len(data.training),
            "step": int(row["step"]),
            "hardware": f"{hardware}, torch {torch.__version__}",
        },
    )


def _figures(row: dict[str, float]) -> dict[str, float]:
    return {"max_f": round(row["max_f"], 4), "mae": round(row["mae"], 5)}


def is_public(name: str) -> bool:
    """Whether others find a model by its name: a registered one, or on the Hub."""
    return not Path(name).expanduser().exists()


def _public_name(name: str) -> str:
    return Path(name).name if Path(name).expanduser().exists() else name
