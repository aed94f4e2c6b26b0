"""Ablations of DiffDIS: its parts added one by one, and its prior against random weights.

    python -m benchmarks.ablations --data_dir train_mix/ccp --output_dir runs/ablations

The paper's table 3 in miniature: every row is trained by `training.diffdis` with the same images
and steps, once for each of `--seeds`, from the generative prior of `--base_model`; the last row has
all parts but begins with random weights. All options of `training.diffdis` may be given. Prints a
table of the last validation's figures (mean and standard deviation over seeds) and the points of
the curves with and without prior; `--figure` draws them. Finished runs are not repeated.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evaluation.report.plots import COLOURS, save_figure
from segdemo.datatypes import InputError
from training.diffdis.settings import DiffDISTraining
from training.diffdis.train import train
from training.loop.checkpoints import read_rows
from training.program import run_program

Runs = Mapping[str, list[Path]]
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
METRICS = {"max_f": 1, "mae": -1}
"""Metrics that are shown; 1: higher is better."""

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
        metadata={"help": "Seeds of weights, order and noise; what is held out stays the same."},
    )
    figure: str = field(default="", metadata={"help": "PNG file for the curves; none: no figure."})


def variants(common: DiffDISTraining) -> dict[str, DiffDISTraining]:
    """Return the settings of every row, in the order of the table."""
    rows = {name: replace(common, from_prior=True, **parts) for name, parts in PARTS.items()}
    return rows | {SCRATCH: replace(common, from_scratch=True)}


def run(ablations: Ablations, common: DiffDISTraining) -> Runs:
    """Train what is not finished, all rows with one seed before the next; raises InputError."""
    runs: dict[str, list[Path]] = {name: [] for name in variants(common)}
    for seed in ablations.seeds:
        for place, (name, settings) in enumerate(variants(common).items()):
            folder = Path(common.output_dir) / f"{place}-seed{seed}"
            _finish(replace(settings, seed=seed, output_dir=str(folder)), folder)
            runs[name].append(folder)
    return runs


def table(runs: Runs) -> list[str]:
    """Return the table, in Markdown; a change is against the row above, seed by seed."""
    lines = ["| parts | max F | change | MAE | change |", "|---|---|---|---|---|"]
    before: dict[str, np.ndarray] = {}
    for name, folders in runs.items():
        last = [read_rows(folder)[-1] for folder in folders]
        now = {figure: np.array([row[figure] for row in last]) for figure in METRICS}
        cells = [
            cell
            for figure, sign in METRICS.items()
            for cell in (_spread(now[figure]), _change(now[figure], before.get(figure), sign))
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        before = now
    return lines


def curve_lines(runs: Runs) -> list[str]:
    """Return the points of the curves with and without prior, in Markdown."""
    lines = []
    for file, figure in (("log", "loss"), ("validation", "max_f")):
        curves = {name: _curves(runs[name], file, figure) for name in (WHOLE, SCRATCH)}
        steps = curves[WHOLE][0]
        lines += ["", f"| {figure} at step | {' | '.join(f'{s:.0f}' for s in steps)} |"]
        lines.append("|---" * (len(steps) + 1) + "|")
        for label, (_, values) in zip(("prior", "scratch"), curves.values(), strict=True):
            lines.append(f"| {label} | {' | '.join(_spread(column) for column in values.T)} |")
    return lines


def draw(runs: Runs, file: Path) -> None:
    """BatchIndex loss and max F of every seed with prior and without, and their means."""
    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    for panel, (log, value, label) in zip(
        figure.subplots(1, 2),
        (("log", "loss", "training loss"), ("validation", "max_f", "max F, held-out images")),
        strict=True,
    ):
        for name, title, colour in (
            (WHOLE, "from the generative prior", COLOURS[0]),
            (SCRATCH, "from scratch", COLOURS[1]),
        ):
            steps, values = _curves(runs[name], log, value)
            for seed in values:
                panel.plot(steps, seed, color=colour, alpha=0.35, linewidth=1)
            panel.plot(steps, values.mean(0), color=colour, marker="o", label=title)
        panel.set_xlabel("step")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
        panel.legend()
    save_figure(figure, file)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    classes = [Ablations, DiffDISTraining]
    return run_program(_compare, classes, argv, __doc__, defaults=MINIATURE)


def _compare(ablations: Ablations, common: DiffDISTraining) -> None:
    if common.preset:
        raise InputError("--preset: give what you want of it by the options themselves.")
    runs = run(ablations, common)
    print("\n".join([*table(runs), *curve_lines(runs)]))
    if ablations.figure:
        draw(runs, Path(ablations.figure))


def _finish(settings: DiffDISTraining, folder: Path) -> None:
    """Train a run to its end, unless it is finished; its logs are kept, its weights removed."""
    mark = folder / FINISHED
    if mark.exists():
        # options added since the run are not in it
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
    """Return how much changed and whether that is more than the spread over seeds."""
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
