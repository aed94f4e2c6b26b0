"""Max F and MAE on a fixed set of pairs during training, and images to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from PIL import Image

from segdemo.datatypes import FloatMap, RGBImage
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import load_rgb, to_grey
from training.diffdis.pairs import ImageMaskPair, load_grey
from training.loop.checkpoints import read_rows
from training.loop.trainer import autocast
from training.model_card import PANELS
from training.panels import side_by_side

BETA_SQUARED = 0.3
LEVELS = 256
PANEL_SIDE = 256  # pixels of the longer side

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Measures a pipeline on pairs at their own size; the seed of its noise is always 0.

    run_dir: its `panels/` gets image, truth and prediction of the first `panels` pairs. Several
    processes share the pairs; each returns the same metrics.
    """

    pipeline: DiffDISPipeline
    pairs: list[ImageMaskPair]
    run_dir: Path
    size: int
    precision: str = "fp32"
    panels: int = 4

    def __call__(self) -> dict[str, float]:
        """Return max_f (the better, the higher) and mae."""
        state = PartialState()
        panels = self.run_dir / PANELS
        panels.mkdir(parents=True, exist_ok=True)
        number = len(read_rows(self.run_dir)) + 1
        sums = np.zeros(LEVELS + 2)
        for index in range(state.process_index, len(self.pairs), state.num_processes):
            image, truth = load_rgb(self.pairs[index].image), load_grey(self.pairs[index].mask)
            with autocast(self.pipeline.device, self.precision):
                mask = self.pipeline(image, DiffDISSettings(size=self.size)).mask
            subject = truth > 127
            curve = f_curve(mask, subject)
            sums += [*curve, float(subject.any()), np.abs(mask - subject).mean()]
            if index < self.panels:
                name = f"{number:03d}-{self.pairs[index].image.stem}.png"
                panel(image, truth, mask).save(panels / name)
        total = torch.from_numpy(sums).to(state.device, torch.float32)
        totals = (reduce(total, "sum") if state.num_processes > 1 else total).cpu().numpy()
        best = totals[:LEVELS].max() / max(1.0, totals[LEVELS])
        return {"max_f": float(best), "mae": float(totals[-1]) / len(self.pairs)}


def panels_of(run_dir: Path, number: int) -> list[Path]:
    """Return the panels of a run's validation, counted from 1."""
    return sorted((run_dir / PANELS).glob(f"{number:03d}-*.png"))


def f_curve(mask: FloatMap, subject: npt.NDArray[np.bool_]) -> Curve:
    """Return the F measure (beta squared 0.3) at 256 thresholds of a soft mask; (256,).

    mask: (H, W) in [0, 1]. subject: (H, W). What is at or above a threshold counts as predicted.
    All zeros for a truth without subject, which the mean over images leaves out.
    """
    levels = to_grey(mask)
    inside = np.bincount(levels[subject], minlength=LEVELS)[::-1].cumsum()[::-1]
    every = np.bincount(levels.ravel(), minlength=LEVELS)[::-1].cumsum()[::-1]
    precision = inside / np.maximum(every, 1)
    recall = inside / max(1, int(subject.sum()))
    weighted = BETA_SQUARED * precision + recall
    return (1 + BETA_SQUARED) * precision * recall / np.maximum(weighted, 1e-12)


def panel(image: RGBImage, truth: npt.NDArray[np.uint8], mask: FloatMap) -> Image.Image:
    """Return image, truth and prediction side by side."""
    return side_by_side((image, truth, to_grey(mask)), PANEL_SIDE, Image.Resampling.BILINEAR)
