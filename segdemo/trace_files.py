"""A trace as files: numbers as CSV and NPZ, figures as PNG. No torch."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from segdemo.datatypes import AttentionTrace, PseudoEdge
from segdemo.diffegg.settings import TraceSettings
from segdemo.files import atomic_write, write_png
from segdemo.visualize import (
    edge_score_figure,
    enlarge,
    figure_png,
    kl_curve_figure,
    pseudo_edge_figure,
)


@dataclass(frozen=True)
class TraceFiles:
    """The files written for one trace. pictures: one a timestep, from noisy to clean."""

    curve: Path
    curve_figure: Path
    pictures: tuple[Path, ...]
    edge_score: Path
    pseudo_edge: Path
    arrays: Path

    @classmethod
    def below(cls, folder: Path, timesteps: Sequence[int]) -> TraceFiles:
        """Name the files of a trace of these timesteps."""
        return cls(
            folder / "kl_curve.csv",
            folder / "kl_curve.png",
            tuple(folder / f"pca_{timestep}.png" for timestep in timesteps),
            folder / "edge_score.png",
            folder / "pseudo_edge.png",
            folder / "trace.npz",
        )

    def __iter__(self) -> Iterator[Path]:
        """Go through all files."""
        yield from (self.curve, self.curve_figure, *self.pictures)
        yield from (self.edge_score, self.pseudo_edge, self.arrays)


def write_trace(
    trace: AttentionTrace,
    edge: PseudoEdge,
    settings: TraceSettings,
    folder: Path,
    shown: int | None = None,
) -> TraceFiles:
    """Write a trace and one step's edge into `folder`, which is made.

    edge: the split of the score of step `shown`, by default of `trace.chosen`. A trace that was
    stopped early is written as far as it goes. Files of the same names are replaced, each
    only once its successor is complete; other files stay. Raises OSError.
    """
    shown = trace.chosen_index if shown is None else shown
    files = TraceFiles.below(folder, trace.curve.timesteps)
    folder.mkdir(parents=True, exist_ok=True)
    ratios = [step.attention_ratio for step in trace.steps]
    step = trace.steps[shown]
    for path, content in (
        (files.curve, _table(trace).encode()),
        (files.curve_figure, figure_png(kl_curve_figure(trace.curve, ratios))),
        (files.edge_score, figure_png(edge_score_figure(step, edge, settings.edge_metric))),
        (files.pseudo_edge, figure_png(pseudo_edge_figure(edge, step.timestep))),
    ):
        with atomic_write(path) as stream:
            stream.write(content)
    for path, step in zip(files.pictures, trace.steps, strict=True):
        write_png(enlarge(step.picture), path)
    _write_arrays(trace, edge, settings, shown, files.arrays)
    return files


def _table(trace: AttentionTrace) -> str:
    """Return the curve as CSV, one row a pair.

    own_other: the intra/inter-instance attention ratio of the next timestep.
    """
    curve = trace.curve
    ratios = [step.attention_ratio for step in trace.steps]
    measured = any(ratio is not None for ratio in ratios)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["timestep", "next_timestep", "gap"] + ["own_other"] * measured)
    for i, gap in enumerate(curve.gaps):
        rows.writerow([*curve.pair(i), gap] + [ratios[i + 1]] * measured)
    return text.getvalue()


def _write_arrays(
    trace: AttentionTrace, edge: PseudoEdge, settings: TraceSettings, shown: int, path: Path
) -> None:
    """Write everything as arrays that `numpy.load(path, allow_pickle=False)` reads.

    own_other is the intra/inter-instance attention ratio, nan where it was not measured;
    shown_timestep is the one that labels, lower, upper and rule belong to.
    """
    steps = trace.steps
    ratios = [np.nan if step.attention_ratio is None else step.attention_ratio for step in steps]
    with atomic_write(path) as stream:
        np.savez_compressed(
            stream,
            timesteps=np.array(trace.curve.timesteps, np.int64),  # (N,)
            gaps=np.array(trace.curve.gaps, np.float64),  # (N - 1,)
            peak_timestep=np.array(trace.curve.peak_timestep),
            flat=np.array(trace.curve.no_peak),
            pictures=np.stack([step.picture for step in steps]),  # (N, h, w, 3)
            edge_scores=np.stack([step.edge_score for step in steps]),  # (N, h, w)
            attention=np.stack([step.attention for step in steps]),  # (N, h, w, k, k)
            own_other=np.array(ratios, np.float64),  # (N,)
            shown_timestep=np.array(steps[shown].timestep),
            labels=edge.labels,  # (h, w)
            lower=np.array(edge.lower),
            upper=np.array(edge.upper),
            rule=np.array(edge.rule),
            guarded=np.array(edge.used_fallback),
            layers=np.array(trace.layers, np.str_),
            size=np.array(trace.size),
            settings=np.array(json.dumps(asdict(settings))),
        )
