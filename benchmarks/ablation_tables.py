"""The tables and curves of `benchmarks.ablations`, from the folders of its finished runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.ablation_measures import METRICS, SECONDS
from evaluation.report.paper_tables import MISSING, rows_for
from evaluation.report.plots import COLOURS, save_figure
from training.loop.checkpoints import read_rows

Runs = Mapping[str, list[Path]]
"""Folders of a variant's finished runs, one a seed."""

FINISHED = "finished.json"
"""Settings and figures of a run that was trained and measured."""
LOWER_IS_BETTER = ("MAE",)


@dataclass(frozen=True)
class TableRow:
    """A row: what it is called, which variant, compared with which, and the sampler."""

    label: str
    variant: str
    against: str = ""
    sampler: str = "ddim"


TABLES: dict[str, list[TableRow]] = {
    "3": [
        TableRow("none", "none"),
        TableRow("+ edge task", "edge", "none"),
        TableRow("+ DBIA", "dbia", "edge"),
        TableRow("+ SWCI", "swci", "dbia"),
        TableRow("+ CutMix", "cutmix", "swci"),
    ],
    "4": [
        TableRow("scratch, 1/1", "scratch", "none"),
        TableRow("prior, 1/1", "none"),
        TableRow("prior, 1*/2", "drawn2", "none"),
        TableRow("prior, 1*/2, ancestral", "drawn2", "none", "ddpm"),
        TableRow("prior, 2/2", "unrolled2", "none"),
        TableRow("prior, 2/2, ancestral", "unrolled2", "none", "ddpm"),
        TableRow("other prior, 1/1", "other_prior", "none"),
        TableRow("prior, 1*/10", "drawn10", "none"),
        TableRow("prior, 1*/10, ancestral", "drawn10", "none", "ddpm"),
    ],
    "5": [
        TableRow("keys of both (GeoWizard)", "concat"),
        TableRow("keys of the other (DBIA)", "dbia", "concat"),
    ],
    "fig4": [
        TableRow("no edge task", "none"),
        TableRow("edge task", "edge"),
        TableRow("edge task and DBIA", "dbia"),
    ],
}
TITLES = {
    "3": "Table 3, components one after another",
    "4": "Table 4, weights and denoising: steps in training / at test",
    "5": "Table 5, what mutual attention sees",
    "fig4": "Fig. 4, masks of one image with other starting noise",
}


def table_lines(table: str, rows: Sequence[TableRow], runs: Runs) -> list[str]:
    """Return one table, in Markdown, with the paper's rows or why there are none."""
    columns = (*METRICS, SECONDS)
    head = ["", *columns, "maxF, change", "MAE, change"]
    lines = ["", f"**{TITLES[table]}**", "", _line(head), _line(["---"] * len(head))]
    for row in rows:
        now = _figures(runs[row.variant], row.sampler)
        before = _figures(runs[row.against], "ddim") if row.against in runs else None
        cells = [_spread(now[name]) for name in columns]
        cells += [_change(now, before, name) for name in ("maxF", "MAE")]
        lines.append(_line([row.label, *cells]))
    papers = [row for row in rows_for("ablations") if row.table == f"Table {table}"]
    for paper in papers:
        cells = [f"{paper.figures[n]:.3f}" if n in paper.figures else "-" for n in columns]
        lines.append(_line([paper.label, *cells, "", ""]))
    missing = MISSING.get(f"DiffDIS, Table {table}")
    return lines + (["", f"The paper's figures could not be had ({missing})."] if missing else [])


def spread_lines(rows: Sequence[TableRow], runs: Runs) -> list[str]:
    """Return the spread of masks over noise seeds, in Markdown."""
    names = ("deviation", "disagreement")
    lines = ["", f"**{TITLES['fig4']}**", "", _line(["", *names]), _line(["---"] * 3)]
    for row in rows:
        found = [read_finished(folder)["spread"] for folder in runs[row.variant]]
        cells = [_spread(np.array([one[name] for one in found])) for name in names]
        lines.append(_line([row.label, *cells]))
    return [*lines, "", "The paper shows pictures, no figures."]


def curve_lines(runs: Runs) -> list[str]:
    """Return the points of the curves with and without prior, in Markdown."""
    lines = []
    for file, figure in (("log", "loss"), ("validation", "max_f")):
        curves = {name: _curves(runs[name], file, figure) for name in ("none", "scratch")}
        steps = curves["none"][0]
        lines += ["", _line([f"{figure} at step", *(f"{step:.0f}" for step in steps)])]
        lines.append(_line(["---"] * (len(steps) + 1)))
        for label, (_, values) in zip(("prior", "scratch"), curves.values(), strict=True):
            lines.append(_line([label, *(_spread(column) for column in values.T)]))
    return lines


def draw(runs: Runs, file: Path) -> None:
    """Draw loss and max F of every seed with prior and without, and their means."""
    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    for panel, (log, value, label) in zip(
        figure.subplots(1, 2),
        (("log", "loss", "training loss"), ("validation", "max_f", "max F, held-out images")),
        strict=True,
    ):
        for name, title, colour in (
            ("none", "from the generative prior", COLOURS[0]),
            ("scratch", "from scratch", COLOURS[1]),
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


def read_finished(folder: Path) -> dict[str, Any]:
    """Return what a finished run stored."""
    return dict(json.loads((folder / FINISHED).read_text()))


def _figures(folders: Sequence[Path], sampler: str) -> dict[str, np.ndarray]:
    """Return the figures of every run, one value a seed."""
    found = [read_finished(folder)["figures"][sampler] for folder in folders]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def _curves(folders: Sequence[Path], log: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (n,) and the values of every run (runs, n)."""
    runs = [read_rows(folder, log) for folder in folders]
    steps = np.array([row["step"] for row in runs[0]])
    return steps, np.array([[row[value] for row in rows] for rows in runs])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: np.ndarray) -> str:
    """Return mean and standard deviation; of one value, the value."""
    deviation = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{deviation}"


def _change(
    now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray] | None, name: str
) -> str:
    """Return how much a metric changed and whether that is more than the spread over seeds."""
    if before is None:
        return ""
    change = float((now[name] - before[name]).mean())
    if len(now[name]) == 1:
        return f"{change:+.3f}"
    within = abs(change) <= max(now[name].std(ddof=1), before[name].std(ddof=1))
    better = (change > 0) != (name in LOWER_IS_BETTER)
    return f"{change:+.3f}, {'within spread' if within else 'better' if better else 'worse'}"
