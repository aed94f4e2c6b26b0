"""Validation of stage 2: predicted edges against pseudo-edges of held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from PIL import Image

from segdemo.datatypes import PseudoEdge
from training.diffegg.data import EdgeBatch, EdgeBatches, EdgePair
from training.diffegg.losses import masked_dice
from training.diffegg.model import DiffEGGModel
from training.loop.trainer import autocast

THRESHOLDS = torch.linspace(0.01, 0.99, 99)


@dataclass(frozen=True)
class EdgeValidation:
    """Compares predictions of held-out images with their pseudo-edges, at certain pixels.

    folder: gets a panel (photo, labels, prediction) of each of the first `panels` images; the
    last validation's stay. Several processes share the images; each returns the same metrics.
    """

    model: DiffEGGModel
    batches: EdgeBatches
    pairs: list[EdgePair]
    folder: Path
    precision: str = "fp32"
    panels: int = 6

    def __call__(self) -> dict[str, float]:
        """Return max_f, of the best threshold for all images together, dice (loss) and mae."""
        state = PartialState()
        self.folder.mkdir(parents=True, exist_ok=True)
        counts, sums = torch.zeros(len(THRESHOLDS), 3), torch.zeros(3)
        for index in range(state.process_index, len(self.pairs), state.num_processes):
            batch = self.batches.whole(self.pairs[index])
            device = self.model.backbone.device
            with autocast(device, self.precision):
                images = batch.images.to(device)
                latents = self.model.encode(images)
                probability = self.model(latents, images).float().cpu()
            counts += _threshold_counts(probability[0], batch.labels[0])
            certain = batch.labels != PseudoEdge.UNCERTAIN
            off = (probability - batch.labels.float()).abs()[certain].sum()
            dice, _ = masked_dice(probability, batch.labels)
            sums += torch.stack([dice, off, certain.sum()])
            if index < self.panels:
                name = f"{index:02d}-{self.pairs[index].image.stem}.png"
                panel(batch, probability).save(self.folder / name)
        if state.num_processes > 1:
            counts, sums = reduce(counts.to(state.device)), reduce(sums.to(state.device))
        found, predicted, truth = counts.T.cpu()
        best = (2 * found / (predicted + truth).clamp(min=1)).max()
        dice, off, certain = sums.tolist()
        return {
            "max_f": float(best),
            "dice": dice / len(self.pairs),
            "mae": off / max(1.0, certain),
        }


def panel(batch: EdgeBatch, probability: torch.Tensor) -> Image.Image:
    """Return photo, labels (uncertain is grey) and prediction of a batch's first side by side."""
    photo = ((batch.images[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).numpy()
    labels = np.choose(batch.labels[0].numpy() + 1, [128, 0, 255])  # uncertain, interior, edge
    edges = (probability[0] * 255).round().numpy()
    planes = [photo, *(np.repeat(plane[..., None], 3, 2) for plane in (labels, edges))]
    return Image.fromarray(np.concatenate(planes, 1).astype(np.uint8))


def _threshold_counts(probability: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return (T, 3) pixels of one image: found, predicted, true, among the certain ones."""
    certain = labels != PseudoEdge.UNCERTAIN
    edge = (labels == PseudoEdge.EDGE)[certain]
    above = probability[certain] >= THRESHOLDS[:, None]  # (T, n)
    truth = edge.sum().expand(len(THRESHOLDS))
    return torch.stack([(above & edge).sum(1), above.sum(1), truth], 1).float()
