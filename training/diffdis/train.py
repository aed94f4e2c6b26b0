"""Train DiffDIS on a folder of pictures with masks.

    python -m training.diffdis --data_dir DIS5K --base_model stabilityai/sd-turbo --preset paper
    python -m training.diffdis --data_dir my_photos --base_model small --output_dir runs/mine

`data_dir` holds `im/` and `gt/` (DIS5K; `DIS-TR/` is found in it) or `images/` and `masks/`. The
same command resumes. On several GPUs or machines: `accelerate launch -m training.diffdis ...`; then
`batch_size` is each process's. The app opens what comes out: `python app.py --model
runs/mine/best` (best validation) or `runs/mine/export` (end).
"""

from __future__ import annotations

import json
import logging
import sys
from argparse import ArgumentParser
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import HfArgumentParser

from segdemo.checkpoints.card import ModelCard
from segdemo.datatypes import InputError
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffusion import pick_device
from segdemo.terminal import print_any_text
from training.data_problems import report_problems
from training.diffdis.base import BaseModel, load_base
from training.diffdis.data import NoiseDraws, PairBatch, PairBatches
from training.diffdis.latents import (
    CachedBatches,
    EncodedBatch,
    LatentCache,
    encode_batch,
    fingerprint,
)
from training.diffdis.losses import diffdis_losses
from training.diffdis.pairs import Pair, check_pairs, find_pairs, hold_out, spread
from training.diffdis.settings import NO_LIMIT, PRESETS, DiffDISTraining
from training.diffdis.validation import Validation, panels_of
from training.loop.average import load_trained_state
from training.loop.checkpoints import RunFiles, read_rows
from training.loop.sampling import Draw
from training.loop.trainer import Losses, Task, build_accelerator, train_loop
from training.model_card import push, write_model, write_readme

logger = logging.getLogger(__name__)

LABEL_RATE = 10.0  # times the learning rate, for the embedding that tells mask from edge
SOONEST_VALIDATION = 200  # steps; epochs of a small folder are shorter


@dataclass(frozen=True)
class Data:
    """What is trained on and what is measured on."""

    training: list[Pair]
    validation: list[Pair]


def train(settings: DiffDISTraining) -> RunFiles:
    """Check the data, train, and write `export/` and `best/`; raises InputError."""
    settings.check()
    accelerator = build_accelerator(settings, pick_device(settings.device))
    folder = Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    data = read_data(settings, folder, accelerator)
    begin = "scratch" if settings.from_scratch else "prior" if settings.from_prior else "trained"
    base = load_base(settings.base_model, settings.variant, begin, settings.first_seed)
    pipeline = base.pipeline.to(accelerator.device)
    if settings.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    settings = _completed(settings, pipeline, len(data.training), accelerator)
    pipeline.native_size = settings.image_size
    task = Task(
        model=pipeline.unet,
        make=_maker(settings, data.training, pipeline, accelerator),
        losses=DiffDISLosses(pipeline, settings.precision),
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
    """Find and check all pairs, before anything is loaded; raises InputError listing problems."""
    names = [settings.data_dir, *([settings.validation_dir] if settings.validation_dir else [])]
    found = [find_pairs(Path(name)) for name in names]
    every = [pair for part in found for pair in part.pairs]
    with accelerator.main_process_first():  # the others read what the first has noted
        checked = check_pairs(every, folder / "checked.json", not accelerator.is_main_process)
    problems = [problem for part in (*found, checked) for problem in part.problems]
    lines = report_problems(problems, settings.allow_problems, folder / "problems.txt")
    if lines and accelerator.is_main_process:
        logger.info("%d problem(s), left out: see %s", len(lines), folder / "problems.txt")
    good = set(checked.pairs)
    training, *rest = ([pair for pair in part.pairs if pair in good] for part in found)
    if not all((training, *rest)):
        raise InputError(f"{' or '.join(names)} has no usable pair: see {folder / 'problems.txt'}.")
    if rest:
        validation = rest[0]
    else:
        share, seed = settings.validation_share, settings.validation_seed
        training, validation = hold_out(training, share, seed)
    return Data(training, spread(validation, settings.validation_count))


@dataclass(frozen=True)
class DiffDISLosses:
    """The losses of a batch, encoded first where it holds pictures."""

    pipeline: DiffDISPipeline
    precision: str

    def __call__(self, batch: PairBatch | EncodedBatch, draw: Draw) -> Losses:
        """Return the error of mask and edge."""
        device = self.pipeline.device
        if isinstance(batch, PairBatch):
            # Stable Diffusion's autoencoder overflows in half precision
            enabled = self.precision == "bf16"
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=enabled):
                batch = encode_batch(self.pipeline, batch)
        return diffdis_losses(
            self.pipeline,
            batch.picture.to(device),
            tuple(level.to(device) for level in batch.pyramid),
            batch.mask.to(device),
            batch.edge.to(device),
            batch.noise.to(device),
            batch.timestep,
        )


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
        card = _card(settings, base, data, rows[index])
        write_model(base.pipeline, card, target, settings.export_precision)
        write_readme(target, card, rows, panels_of(files.folder, index + 1))
    base.pipeline.unet.load_state_dict(end)
    if settings.push_to_hub:
        push(files.folder / "best", settings.push_to_hub)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage."""
    print_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    named = ArgumentParser(add_help=False)
    named.add_argument("--preset", default="")
    preset = named.parse_known_args(argv)[0].preset
    parser = HfArgumentParser(DiffDISTraining, description=__doc__)
    parser.set_defaults(**PRESETS.get(preset, {}))
    (settings,) = parser.parse_args_into_dataclasses(argv)
    try:
        train(settings)
    except (InputError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _completed(
    settings: DiffDISTraining, pipeline: DiffDISPipeline, count: int, accelerator: Accelerator
) -> DiffDISTraining:
    """Fill in what depends on model and data: the size, and the steps of an epoch and in all."""
    a_step = settings.batch_size * settings.accumulation * accelerator.num_processes
    epoch_steps = max(1, -(-count // a_step))
    of_epochs = round(settings.epochs * epoch_steps) or NO_LIMIT
    return replace(
        settings,
        image_size=settings.image_size or pipeline.native_size,
        epoch_steps=settings.epoch_steps or epoch_steps,
        max_steps=min(settings.max_steps, of_epochs),
        validate_steps=settings.validate_steps or max(SOONEST_VALIDATION, epoch_steps),
    )


def _maker(
    settings: DiffDISTraining,
    pairs: list[Pair],
    pipeline: DiffDISPipeline,
    accelerator: Accelerator,
) -> PairBatches | CachedBatches:
    size, steps = settings.image_size, settings.denoising_steps
    noise = NoiseDraws(settings.batch_size, size, pipeline.tasks, steps)
    stretched, augmented = not settings.fixed_range, not settings.no_augmentation
    if not settings.cache_latents:
        return PairBatches(pairs, noise, augmented, settings.mixed, stretched)
    cache = LatentCache(
        Path(settings.cache_latents),
        size,
        stretched,
        pipeline.unet.condition_count,
        fingerprint(pipeline),
    )
    own = pairs[accelerator.process_index :: accelerator.num_processes]
    cache.fill(own, pipeline, quiet=not accelerator.is_main_process)
    accelerator.wait_for_everyone()
    return CachedBatches(pairs, cache, noise, augmented)


def _card(
    settings: DiffDISTraining, base: BaseModel, data: Data, row: dict[str, float]
) -> ModelCard:
    knobs = asdict(settings)
    for name in ("data_dir", "validation_dir", "output_dir", "cache_latents"):
        knobs[name] = Path(knobs[name]).name  # where it lies on this machine is no one's concern
    knobs["base_model"] = _public_name(settings.base_model)
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
            "max_f": round(row["max_f"], 4),
            "mae": round(row["mae"], 5),
            "pictures": len(data.validation),
        },
        training={
            "recipe": "python -m training.diffdis",
            "settings": knobs,
            "pictures": len(data.training),
            "step": int(row["step"]),
            "hardware": f"{hardware}, torch {torch.__version__}",
        },
    )


def _public_name(name: str) -> str:
    return Path(name).name if Path(name).expanduser().exists() else name
