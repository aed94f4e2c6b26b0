"""What stage 2 of DiffEGG trains, how a batch's losses come about, and how they are checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from PIL import Image
from torch import nn

from segdemo.datatypes import PseudoEdge
from segdemo.diffegg.adapters import adapter_parameters
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_generator import EdgeGenerator, edge_probability
from segdemo.diffegg.features import Reading
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.photo_features import PhotoFeatures
from training.diffegg.data import EdgeBatch, EdgeBatches, EdgePair
from training.diffegg.losses import (
    masked_cross_entropy,
    masked_dice,
    reconstruction_loss,
    relabel,
)
from training.loop.sampling import Draw
from training.loop.trainer import Losses, autocast

THRESHOLDS = torch.linspace(0.01, 0.99, 99)


class EdgeTrainee(nn.Module):
    """The weights that are trained, LoRA and edge generator, and nothing of the frozen backbone.

    teacher: the same weights at an earlier step, where uncertain pixels are labelled anew. They are
    buffers, so that a checkpoint has them.
    """

    def __init__(
        self,
        backbone: Backbone,
        generator: EdgeGenerator,
        photo_features: PhotoFeatures | None = None,
        teacher: bool = False,
    ) -> None:
        """Put the parts together; the backbone has its adapter already, and at work."""
        super().__init__()
        self.backbone = backbone
        self.generator = generator
        self.pipeline = DiffEGGPipeline(backbone, generator, photo_features)
        # a parameter's name may hold no dots
        adapter = {name.replace(".", "/"): p for name, p in adapter_parameters(backbone).items()}
        self.adapter = nn.ParameterDict(adapter)
        self.teacher = nn.Module()
        if teacher:
            self.teacher.register_buffer("generation", torch.zeros((), dtype=torch.int64))
            for name, parameter in self.named_parameters():
                self.teacher.register_buffer(name.replace(".", "/"), parameter.detach().clone())

    def forward(self, latents: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """Return the edges (B, S, S) of pictures (B, 3, S, S) with clean latents (B, C, h, w)."""
        size = (pictures.shape[-2], pictures.shape[-1])
        return edge_probability(self.generator(self.read(latents, pictures).maps), size)

    def read(self, latents: torch.Tensor, pictures: torch.Tensor) -> Reading:
        """Return the features of pictures with clean latents (B, C, h, w)."""
        return self.pipeline.read(latents, pictures)

    @torch.no_grad()
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the clean latents of (B, 3, S, S) in [-1, 1]; without autocast, see loading."""
        with torch.autocast(pictures.device.type, enabled=False):
            return self.backbone.encode(pictures)

    def keep_teacher(self, generation: int) -> None:
        """Make the weights of now the teacher's, once for each generation above 0."""
        if generation <= int(self.teacher.generation):
            return
        self.teacher.generation.fill_(generation)
        kept = dict(self.teacher.named_buffers())
        for name, parameter in self.named_parameters():
            kept[name.replace(".", "/")].copy_(parameter.detach())

    @torch.no_grad()
    def taught(self, latents: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """Return the teacher's edges (B, S, S)."""
        with self._as_teacher():
            return self(latents, pictures)

    @contextmanager
    def _as_teacher(self) -> Iterator[None]:
        kept = dict(self.teacher.named_buffers())
        own = {}
        for name, parameter in self.named_parameters():
            own[name], parameter.data = parameter.data, kept[name.replace(".", "/")]
        try:
            yield
        finally:
            for name, parameter in self.named_parameters():
                parameter.data = own[name]


@dataclass(frozen=True)
class EdgeLosses:
    """The losses of a batch: Dice over certain pixels, and reconstruction.

    cross_entropy: weight of it, over the same pixels; none in the paper. relabel_steps: after each
    so many steps the teacher is the model of that moment, and where it is above `sure_edge` or
    below `sure_interior`, uncertain pixels get labels; 0: never.
    """

    trainee: EdgeTrainee
    reconstruction: str = "denoise"
    weight: float = 1.0
    cross_entropy: float = 0.0
    relabel_steps: int = 0
    sure_edge: float = 0.8
    sure_interior: float = 0.2

    def __call__(self, batch: EdgeBatch, draw: Draw) -> Losses:
        """Return `loss` and its parts, and the mean probability, which shows a collapse."""
        trainee, size = self.trainee, batch.labels.shape[-1]
        batch = batch.to(trainee.backbone.device)
        latents = trainee.encode(batch.pictures)  # (B, C, h, w)
        labels = batch.labels
        generation = draw.step // self.relabel_steps if self.relabel_steps else 0
        if generation:
            trainee.keep_teacher(generation)
            taught = trainee.taught(latents, batch.pictures)
            labels = relabel(labels, taught, self.sure_edge, self.sure_interior)
        reading = trainee.read(latents, batch.pictures)
        probability = edge_probability(trainee.generator(reading.maps), (size, size))  # (B, S, S)
        dice, counted = masked_dice(probability, labels)
        reconstruction = reconstruction_loss(
            self.reconstruction,
            trainee.backbone,
            batch.pictures,
            latents,
            trainee.pipeline.generator_latents(latents),
            reading,
            trainee.generator.config.timestep,
        )
        entropy = masked_cross_entropy(probability, labels)
        return {
            "loss": dice + self.weight * reconstruction + self.cross_entropy * entropy,
            "dice": dice,
            "cross_entropy": entropy,
            "reconstruction": reconstruction,
            "counted": counted / len(labels),
            "mean_edge": probability.mean(),
        }


@dataclass(frozen=True)
class EdgeValidation:
    """Compares predictions of held-out pictures with their pseudo-edges, at certain pixels.

    folder: gets a panel (photo, labels, prediction) of each of the first `panels` pictures; the
    last validation's stay. Several processes share the pictures; each returns the same figures.
    """

    trainee: EdgeTrainee
    batches: EdgeBatches
    pairs: list[EdgePair]
    folder: Path
    precision: str = "fp32"
    panels: int = 6

    def __call__(self) -> dict[str, float]:
        """Return max_f, of the best threshold for all pictures together, dice (loss) and mae."""
        state = PartialState()
        self.folder.mkdir(parents=True, exist_ok=True)
        counts, sums = torch.zeros(len(THRESHOLDS), 3), torch.zeros(3)
        for index in range(state.process_index, len(self.pairs), state.num_processes):
            batch = self.batches.whole(self.pairs[index])
            device = self.trainee.backbone.device
            with autocast(device, self.precision):
                pictures = batch.pictures.to(device)
                latents = self.trainee.encode(pictures)
                probability = self.trainee(latents, pictures).float().cpu()
            counts += _threshold_counts(probability[0], batch.labels[0])
            certain = batch.labels != PseudoEdge.UNCERTAIN
            off = (probability - batch.labels.float()).abs()[certain].sum()
            dice, _ = masked_dice(probability, batch.labels)
            sums += torch.stack([dice, off, certain.sum()])
            if index < self.panels:
                name = f"{index:02d}-{self.pairs[index].picture.stem}.png"
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
    photo = ((batch.pictures[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).numpy()
    labels = np.choose(batch.labels[0].numpy() + 1, [128, 0, 255])  # uncertain, interior, edge
    edges = (probability[0] * 255).round().numpy()
    planes = [photo, *(np.repeat(plane[..., None], 3, 2) for plane in (labels, edges))]
    return Image.fromarray(np.concatenate(planes, 1).astype(np.uint8))


def _threshold_counts(probability: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return (T, 3) pixels of one picture: found, predicted, true, among the certain ones."""
    certain = labels != PseudoEdge.UNCERTAIN
    edge = (labels == PseudoEdge.EDGE)[certain]
    above = probability[certain] >= THRESHOLDS[:, None]  # (T, n)
    truth = edge.sum().expand(len(THRESHOLDS))
    return torch.stack([(above & edge).sum(1), above.sum(1), truth], 1).float()
