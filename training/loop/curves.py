"""A run's losses and metrics as one picture, `curves.png`, drawn from its logs."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from segdemo.files import atomic_write
from training.loop.checkpoints import read_rows

CURVES = "curves.png"
NOT_DRAWN = ("step", "minutes")
COLUMNS = 3


def draw_curves(run_dir: Path) -> Path | None:
    """Draw every column of `log.csv` and `validation.csv` over steps; None where there are none."""
    panels = [
        (name, [row["step"] for row in rows], [row[name] for row in rows])
        for rows in (read_rows(run_dir, "log"), read_rows(run_dir))
        for name in (rows[0] if rows else ())
        if name not in NOT_DRAWN
    ]
    if not panels:
        return None
    rows_of_panels = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 2.5 * rows_of_panels), layout="constrained")
    axes = figure.subplots(rows_of_panels, COLUMNS, squeeze=False).flat
    for axis, (name, steps, values) in zip(axes, panels, strict=False):
        axis.plot(steps, values, marker="." if len(steps) < 30 else None)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in list(axes)[len(panels) :]:
        axis.axis("off")
    target = run_dir / CURVES
    with atomic_write(target) as stream:
        figure.savefig(stream, format="png", dpi=100)
    return target
