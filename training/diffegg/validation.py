"""Validation of stage 2: predicted edges against pseudo-edges of held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from PIL import Image

from segdemo.datatypes import PseudoEdge
from training.diffegg.connectivity import edge_connectivity
from training.diffegg.data import EdgeBatch, EdgeBatches, EdgePair
from training.diffegg.losses import masked_dice
from training.diffegg.model import DiffEGGModel
from training.loop.checkpoints import read_rows
from training.loop.trainer import autocast
from training.model_card import PANELS

THRESHOLDS = torch.linspace(0.01, 0.99, 99)
HALF = 127


@dataclass(frozen=True)
class EdgeValidation:
    """Compares predictions of held-out images with their pseudo-edges, at certain pixels.

    run_dir: its `panels/` gets a panel (photo, labels, prediction) of each of the first `panels`
    images, of every validation. Several processes share the images; each returns the same metrics.
    """

    model: DiffEGGModel
    batches: EdgeBatches
    pairs: list[EdgePair]
    run_dir: Path
    precision: str = "fp32"
    panels: int = 6

    def __call__(self) -> dict[str, float]:
        """Return max_f, of the best threshold for all images together, dice (loss) and mae.

        At that threshold also `edge_components`, the mean of the pieces that an image's edges are
        in, and `closed_contours`, the share of the edges' length that parts two regions.
        """
        state = PartialState()
        (self.run_dir / PANELS).mkdir(parents=True, exist_ok=True)
        number = len(read_rows(self.run_dir)) + 1
        counts, sums = torch.zeros(len(THRESHOLDS), 3), torch.zeros(3)
        passed = []  # of each image (S, S) uint8, how many thresholds a pixel reaches
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
                self._write_panel(number, index, batch, probability)
            passed.append(torch.bucketize(probability[0], THRESHOLDS, right=True).byte().numpy())
        if state.num_processes > 1:
            counts, sums = reduce(counts.to(state.device)), reduce(sums.to(state.device))
        found, predicted, truth = counts.T.cpu()
        best, place = (2 * found / (predicted + truth).clamp(min=1)).max(0)
        measured = [edge_connectivity(one > int(place)) for one in passed]
        connected = torch.tensor(measured, dtype=torch.float32).reshape(-1, 3).sum(0)
        if state.num_processes > 1:
            connected = reduce(connected.to(state.device))
        components, closed, length = connected.tolist()
        dice, off, certain = sums.tolist()
        return {
            "max_f": float(best),
            "dice": dice / len(self.pairs),
            "mae": off / max(1.0, certain),
            "edge_components": components / len(self.pairs),
            "closed_contours": closed / max(1.0, length),
        }

    def _write_panel(
        self, number: int, index: int, batch: EdgeBatch, probability: torch.Tensor
    ) -> None:
        """Write the panel of an image, with what was added since the validation before."""
        stem = self.pairs[index].image.stem
        before = self.run_dir / PANELS / f"{number - 1:03d}-{index:02d}-{stem}.png"
        earlier = _prediction_of(before) if before.exists() else None
        file = self.run_dir / PANELS / f"{number:03d}-{index:02d}-{stem}.png"
        panel(batch, probability, earlier).save(file)


def panel(
    batch: EdgeBatch, probability: torch.Tensor, earlier: npt.NDArray[np.uint8] | None = None
) -> Image.Image:
    """Return photo, labels (uncertain is grey) and prediction of a batch's first side by side.

    earlier: an earlier prediction (S, S), 0 to 255; what came above one half since then is green,
    as in figure 6.
    """
    photo = ((batch.images[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).numpy()
    labels = np.choose(batch.labels[0].numpy() + 1, [128, 0, 255])  # uncertain, interior, edge
    edges = (probability[0] * 255).round().numpy()
    planes = [photo, *(np.repeat(plane[..., None], 3, 2) for plane in (labels, edges))]
    if earlier is not None and earlier.shape == edges.shape:
        added = (edges > HALF) & (earlier <= HALF)
        planes[-1][added] *= (0, 1, 0)
    return Image.fromarray(np.concatenate(planes, 1).astype(np.uint8))


def _prediction_of(file: Path) -> npt.NDArray[np.uint8]:
    """Return the prediction (S, S) in a panel: what is green in it has no red and no blue."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels[:, 2 * pixels.shape[1] // 3 :, 1]


def _threshold_counts(probability: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return (T, 3) pixels of one image: found, predicted, true, among the certain ones."""
    certain = labels != PseudoEdge.UNCERTAIN
    edge = (labels == PseudoEdge.EDGE)[certain]
    above = probability[certain] >= THRESHOLDS[:, None]  # (T, n)
    truth = edge.sum().expand(len(THRESHOLDS))
    return torch.stack([(above & edge).sum(1), above.sum(1), truth], 1).float()
