"""How well masks of composed scenes are found whose sources no training scene shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from training.loop.trainer import autocast
from training.small.scenes.store import SceneStore


@dataclass(frozen=True)
class SceneValidation:
    """Measures a pipeline on all of some scenes, at their own size."""

    pipeline: DiffDISPipeline
    scenes: SceneStore
    precision: str

    def __call__(self) -> dict[str, float]:
        """Return iou, the mean over scenes at 0.5, and mae, of soft masks in [0, 1]."""
        shared, off = [], []
        settings = DiffDISSettings(size=self.scenes.images.shape[1])
        for image, truth in zip(self.scenes.images, self.scenes.masks, strict=True):
            with autocast(self.pipeline.device, self.precision):
                mask = self.pipeline(np.array(image), settings).mask  # (S, S)
            found, subject = mask > 0.5, truth > 127
            shared.append((found & subject).sum() / max(1, (found | subject).sum()))
            off.append(np.abs(mask - truth / np.float32(255)).mean())
        return {"iou": float(np.mean(shared)), "mae": float(np.mean(off))}
