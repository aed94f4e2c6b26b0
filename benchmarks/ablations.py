"""The ablations of DiffDIS in miniature: its tables 3, 4 and 5, and its Fig. 4 as a number.

    python -m benchmarks.ablations --data_dir train_mix/ccp --output_dir runs/ablations

Every variant is trained by `training.diffdis` with the same images and steps, once for each of
`--seeds`, from the weights of `--base_model`: a generative prior that `training.small` exported, or
Stable Diffusion. Variants that tables share are trained once. All options of `training.diffdis` may
be given. Prints for every row the five metrics on the held-out images (binarised maps, as the paper
measures) and the seconds of an image, mean and standard deviation over seeds, with the paper's
rows; for Fig. 4 the spread of masks over noise seeds; and the training curves with and without
prior, which `--figure` draws. Stopped runs resume, finished ones are not repeated.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.ablation_measures import measure, open_model, spread_of_masks
from benchmarks.ablation_tables import (
    FINISHED,
    TABLES,
    Runs,
    TableRow,
    curve_lines,
    draw,
    read_finished,
    spread_lines,
    table_lines,
)
from segdemo.datatypes import InputError
from segdemo.diffusion import pick_device
from training.diffdis.base import is_stable_diffusion
from training.diffdis.settings import DiffDISTraining
from training.diffdis.train import read_data, train
from training.loop.trainer import build_accelerator
from training.program import run_program

NONE: dict[str, Any] = {"no_edge": True, "no_swci": True, "no_cutmix": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "none": NONE,
    "edge": {"interaction": "none", "no_swci": True, "no_cutmix": True},
    "dbia": {"no_swci": True, "no_cutmix": True},
    "swci": {"no_cutmix": True},
    "cutmix": {},
    "concat": {"interaction": "concat", "no_swci": True, "no_cutmix": True},
    "scratch": NONE,
    "drawn2": NONE | {"denoising": "1*/2"},
    "unrolled2": NONE | {"denoising": "2/2"},
    "drawn10": NONE | {"denoising": "1*/10"},
    "other_prior": NONE,
}
"""What differs from the whole method, by the name of the folder. Interaction needs the edge task.
Table 4 is "based on the vanilla SD backbone", hence without parts."""


SPREAD = {row.variant for row in TABLES["fig4"]}

MINIATURE = {
    "output_dir": "runs/ablations",
    "image_size": 64,
    "batch_size": 8,
    "max_steps": 120,
    "epochs": 0.0,
    "learning_rate": 4e-4,
    "warmup_steps": 20,
    "ema_decay": 0.95,
    "validate_steps": 40,
    "validation_share": 0.1,
    "validation_count": 24,
    "panels": 0,
    "keep": 1,
    "export_precision": "fp16",
}
"""Defaults that fit half an hour of one CPU core; `training.diffdis` has others."""


@dataclass(frozen=True)
class Ablations:
    """What is compared."""

    seeds: list[int] = field(
        default_factory=lambda: [0, 1, 2],
        metadata={"help": "Seeds of weights, order and noise; what is held out stays the same."},
    )
    tables: list[str] = field(
        default_factory=lambda: list(TABLES), metadata={"help": "Of 3, 4, 5 and fig4."}
    )
    other_prior: str = field(
        default="",
        metadata={"help": "Weights beside --base_model's, as SD 2.1 in table 4; none: no row."},
    )
    noise_seeds: int = field(
        default=6, metadata={"help": "Masks of each image for Fig. 4, at least 2."}
    )
    figure: str = field(default="", metadata={"help": "PNG file for the curves; none: no figure."})

    def rows(self, table: str) -> list[TableRow]:
        """Return the rows of a table that are asked for."""
        return [row for row in TABLES[table] if row.variant != "other_prior" or self.other_prior]


def variants(ablations: Ablations, common: DiffDISTraining) -> dict[str, DiffDISTraining]:
    """Return the settings of every variant that the tables need, in the order of `VARIANTS`."""
    needed = {row.variant for table in ablations.tables for row in ablations.rows(table)}
    found = {}
    for name in (name for name in VARIANTS if name in needed):
        base = ablations.other_prior if name == "other_prior" else common.base_model
        scratch = name == "scratch"
        prior = not scratch and not is_stable_diffusion(base)
        start: dict[str, Any] = {"base_model": base, "from_scratch": scratch, "from_prior": prior}
        found[name] = replace(common, **start | VARIANTS[name])
    return found


def run(ablations: Ablations, common: DiffDISTraining) -> Runs:
    """Train and measure what is not finished, all variants with one seed before the next seed.

    Raises InputError.
    """
    every = variants(ablations, common)
    runs: dict[str, list[Path]] = {name: [] for name in every}
    for seed in ablations.seeds:
        for name, settings in every.items():
            folder = Path(common.output_dir) / f"{name}-seed{seed}"
            seeds = ablations.noise_seeds if name in SPREAD else 0
            _finish(replace(settings, seed=seed, output_dir=str(folder)), folder, seeds)
            runs[name].append(folder)
    return runs


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    classes = [Ablations, DiffDISTraining]
    return run_program(_compare, classes, argv, __doc__, defaults=MINIATURE)


def _compare(ablations: Ablations, common: DiffDISTraining) -> None:
    if common.preset:
        raise InputError("--preset: give what you want of it by the options themselves.")
    if unknown := [table for table in ablations.tables if table not in TABLES]:
        raise InputError(f"--tables {unknown[0]}: choose of {', '.join(TABLES)}.")
    if ablations.noise_seeds < 2:
        raise InputError(f"--noise_seeds {ablations.noise_seeds}: choose 2 or more.")
    runs = run(ablations, common)
    for table in ablations.tables:
        rows = ablations.rows(table)
        lines = spread_lines(rows, runs) if table == "fig4" else table_lines(table, rows, runs)
        print("\n".join(lines))
    if {"none", "scratch"} <= runs.keys():
        print("\n".join(curve_lines(runs)))
        if ablations.figure:
            draw(runs, Path(ablations.figure))


def _finish(settings: DiffDISTraining, folder: Path, noise_seeds: int) -> None:
    """Train a run to its end and measure it, unless it is finished; its weights are removed.

    noise_seeds: masks of each image whose spread is measured; 0: none.
    """
    if (folder / FINISHED).exists():
        done = read_finished(folder)
        known = settings.present(done.get("settings", {}))  # without options added since the run
        same = done.get("noise_seeds") == noise_seeds  # earlier versions measured less
        now = asdict(settings)
        if not same or any(now.get(name) != value for name, value in known.items()):
            raise InputError(f"{folder} was made with other settings: choose another --output_dir.")
        return
    train(settings)
    device = pick_device(settings.device)
    held_out = read_data(settings, folder, build_accelerator(settings, device)).validation
    pipeline = open_model(folder / "export", settings.device)
    measured = (pipeline, held_out, settings.image_size or pipeline.native_size)
    done = {
        "settings": asdict(settings),
        "noise_seeds": noise_seeds,
        "figures": measure(*measured),
        "spread": spread_of_masks(*measured, noise_seeds) if noise_seeds else None,
    }
    for file in folder.glob("*.pt"):  # a quarter of a gigabyte each
        file.unlink()
    for part in ("best", "export"):
        shutil.rmtree(folder / part, ignore_errors=True)
    (folder / FINISHED).write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
