"""DiffDIS's parts switched on one after another, and its prior against random weights.

    python -m benchmarks.ablations --data_dir train_mix/ccp --output_dir runs/ablations

The paper's table 3 in miniature: every row is trained by `training.diffdis` with the same pictures
and steps, once for each of `--seeds`, from the generative prior of `--base_model`; the last row has
all parts but begins with random weights. All options of `training.diffdis` may be given. Prints a
table of the last validation's figures (mean and standard deviation over seeds) and the points of
the curves with and without prior; `--figure` draws them. Runs that are finished are not made again.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from transformers import HfArgumentParser

from evaluation.report.plots import COLOURS, save_figure
from segdemo.datatypes import InputError
from training.diffdis.settings import DiffDISTraining
from training.diffdis.train import train
from training.loop.checkpoints import read_rows

Outcomes = Mapping[str, list[Path]]
"""Folders of a variant's finished runs, one a seed."""

PARTS: dict[str, dict[str, Any]] = {
    "none": {"no_edge": True, "no_swci": True, "no_cutmix": True},
    "+ edge task": {"interaction": "none", "no_swci": True, "no_cutmix": True},
    "+ DBIA": {"no_swci": True, "no_cutmix": True},
    "+ SWCI": {"no_cutmix": True},
    "+ CutMix": {},
}
"""Each row keeps the parts of those above it; interaction needs the edge task."""
WHOLE, SCRATCH = "+ CutMix", "all, from scratch"
FINISHED = "finished.json"
FIGURES = {"max_f": 1, "mae": -1}
"""What is shown of a validation; 1: higher is better."""

MINIATURE = {
    "output_dir": "runs/ablations",
    "image_size": 128,
    "batch_size": 8,
    "max_steps": 200,
    "epochs": 0.0,
    "learning_rate": 4e-4,
    "warmup_steps": 20,
    "validate_steps": 40,
    "validation_share": 0.1,
    "panels": 0,
    "keep": 1,
    "export_precision": "fp16",
}
"""Defaults that fit an hour of one CPU core; `training.diffdis` has others."""


@dataclass(frozen=True)
class Ablations:
    """What is compared."""

    seeds: list[int] = field(
        default_factory=lambda: [0, 1, 2],
        metadata={"help": "Of first weights, order and noise; what is held out stays the same."},
    )
    figure: str = field(default="", metadata={"help": "PNG file for the curves; none: no figure."})


def variants(common: DiffDISTraining) -> dict[str, DiffDISTraining]:
    """Return the settings of every row, in the order of the table."""
    rows = {name: replace(common, from_prior=True, **parts) for name, parts in PARTS.items()}
    return rows | {SCRATCH: replace(common, from_scratch=True)}


def run(ablations: Ablations, common: DiffDISTraining) -> Outcomes:
    """Train what is not finished yet, all rows with one seed before the next; raises InputError."""
    outcomes: dict[str, list[Path]] = {name: [] for name in variants(common)}
    for seed in ablations.seeds:
        for place, (name, settings) in enumerate(variants(common).items()):
            folder = Path(common.output_dir) / f"{place}-seed{seed}"
            _finish(replace(settings, seed=seed, output_dir=str(folder)), folder)
            outcomes[name].append(folder)
    return outcomes


def table(outcomes: Outcomes) -> list[str]:
    """Return the table, in Markdown; a change is against the row above, seed by seed."""
    lines = ["| parts | max F | change | MAE | change |", "|---|---|---|---|---|"]
    before: dict[str, np.ndarray] = {}
    for name, folders in outcomes.items():
        last = [read_rows(folder)[-1] for folder in folders]
        now = {figure: np.array([row[figure] for row in last]) for figure in FIGURES}
        cells = [
            cell
            for figure, sign in FIGURES.items()
            for cell in (_spread(now[figure]), _change(now[figure], before.get(figure), sign))
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        before = now
    return lines


def curve_lines(outcomes: Outcomes) -> list[str]:
    """Return the points of the curves with and without prior, in Markdown."""
    lines = []
    for file, figure in (("log", "loss"), ("validation", "max_f")):
        curves = {name: _curves(outcomes[name], file, figure) for name in (WHOLE, SCRATCH)}
        steps = curves[WHOLE][0]
        lines += ["", f"| {figure} at step | {' | '.join(f'{s:.0f}' for s in steps)} |"]
        lines.append("|---" * (len(steps) + 1) + "|")
        for label, (_, values) in zip(("prior", "scratch"), curves.values(), strict=True):
            lines.append(f"| {label} | {' | '.join(_spread(column) for column in values.T)} |")
    return lines


def draw(outcomes: Outcomes, file: Path) -> None:
    """Draw loss and max F of every seed with prior and without, and their means."""
    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    for panel, (log, value, label) in zip(
        figure.subplots(1, 2),
        (("log", "loss", "training loss"), ("validation", "max_f", "max F, held-out pictures")),
        strict=True,
    ):
        for name, title, colour in (
            (WHOLE, "from the generative prior", COLOURS[0]),
            (SCRATCH, "from scratch", COLOURS[1]),
        ):
            steps, values = _curves(outcomes[name], log, value)
            for seed in values:
                panel.plot(steps, seed, color=colour, alpha=0.35, linewidth=1)
            panel.plot(steps, values.mean(0), color=colour, marker="o", label=title)
        panel.set_xlabel("step")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
        panel.legend()
    save_figure(figure, file)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, train and print; 2 for wrong usage."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser([Ablations, DiffDISTraining], description=__doc__)
    parser.set_defaults(**MINIATURE)
    ablations, common = parser.parse_args_into_dataclasses(argv)
    try:
        if common.preset:
            raise InputError("--preset: give what you want of it by the options themselves.")
        outcomes = run(ablations, common)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join([*table(outcomes), *curve_lines(outcomes)]))
    if ablations.figure:
        draw(outcomes, Path(ablations.figure))
    return 0


def _finish(settings: DiffDISTraining, folder: Path) -> None:
    """Train a run to its end, unless it is there; its logs stay, its weights go."""
    mark = folder / FINISHED
    if mark.exists():
        # options that are newer than the run are not in it
        if json.loads(mark.read_text()).items() - asdict(settings).items():
            raise InputError(f"{folder} was made with other settings: choose another --output_dir.")
        return
    train(settings)
    for file in folder.glob("*.pt"):  # a quarter of a gigabyte each
        file.unlink()
    for part in ("best", "export"):
        shutil.rmtree(folder / part, ignore_errors=True)
    mark.write_text(json.dumps(asdict(settings), indent=1) + "\n")


def _curves(folders: list[Path], log: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (n,) and the values of every run (runs, n)."""
    runs = [read_rows(folder, log) for folder in folders]
    steps = np.array([row["step"] for row in runs[0]])
    return steps, np.array([[row[value] for row in rows] for rows in runs])


def _spread(values: np.ndarray) -> str:
    """Return mean and standard deviation; of one value, the value."""
    deviation = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{deviation}"


def _change(now: np.ndarray, before: np.ndarray | None, sign: int) -> str:
    """Return how much changed and whether that is more than what the seeds differ by."""
    if before is None:
        return ""
    change = float((now - before).mean())
    if len(now) == 1:
        return f"{change:+.3f}"
    within = abs(change) <= max(now.std(ddof=1), before.std(ddof=1))
    verdict = "within spread" if within else "better" if change * sign > 0 else "worse"
    return f"{change:+.3f}, {verdict}"


if __name__ == "__main__":
    sys.exit(main())
