"""The model that stage 2 of DiffEGG trains, and the losses of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from segdemo.diffegg.adapters import adapter_parameters
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_generator import EdgeGenerator, edge_probability
from segdemo.diffegg.features import HiddenStates
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.photo_features import PhotoFeatures
from training.diffegg.data import EdgeBatch
from training.diffegg.losses import (
    masked_cross_entropy,
    masked_dice,
    reconstruction_loss,
    relabel,
)
from training.loop.sampling import BatchIndex
from training.loop.trainer import Losses


class DiffEGGModel(nn.Module):
    """LoRA and edge generator, which are trained; the frozen backbone is not part of the module.

    teacher: the same weights at an earlier step, which label uncertain pixels. They are buffers, so
    that a checkpoint has them.
    """

    def __init__(
        self,
        backbone: Backbone,
        generator: EdgeGenerator,
        photo_features: PhotoFeatures | None = None,
        teacher: bool = False,
    ) -> None:
        """Put the parts together; the backbone already has its adapter, enabled."""
        super().__init__()
        self.backbone = backbone
        self.generator = generator
        self.pipeline = DiffEGGPipeline(backbone, generator, photo_features)
        # a parameter's name must not contain dots
        adapter = {name.replace(".", "/"): p for name, p in adapter_parameters(backbone).items()}
        self.adapter = nn.ParameterDict(adapter)
        self.teacher = nn.Module()
        if teacher:
            self.teacher.register_buffer("generation", torch.zeros((), dtype=torch.int64))
            for name, parameter in self.named_parameters():
                self.teacher.register_buffer(name.replace(".", "/"), parameter.detach().clone())

    def forward(self, latents: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the edges (B, S, S) of images (B, 3, S, S) with clean latents (B, C, h, w)."""
        size = (images.shape[-2], images.shape[-1])
        return edge_probability(self.generator(self.read(latents, images).maps), size)

    def read(self, latents: torch.Tensor, images: torch.Tensor) -> HiddenStates:
        """Return the features of images with clean latents (B, C, h, w)."""
        return self.pipeline.read(latents, images)

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return the clean latents of (B, 3, S, S) in [-1, 1]; without autocast, see loading."""
        with torch.autocast(images.device.type, enabled=False):
            return self.backbone.encode(images)

    def update_teacher(self, generation: int) -> None:
        """Copy the current weights to the teacher, once for each generation above 0."""
        if generation <= int(self.teacher.generation):
            return
        self.teacher.generation.fill_(generation)
        kept = dict(self.teacher.named_buffers())
        for name, parameter in self.named_parameters():
            kept[name.replace(".", "/")].copy_(parameter.detach())

    @torch.no_grad()
    def teacher_prediction(self, latents: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the teacher's edges (B, S, S)."""
        with self._as_teacher():
            return self(latents, images)

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

    cross_entropy: weight of it, over the same pixels; none in the paper. relabel_steps: after every
    that many steps the model becomes the teacher, and uncertain pixels get labels where the teacher
    is above `sure_edge` or below `sure_interior`; 0: never.
    """

    model: DiffEGGModel
    reconstruction: str = "denoise"
    weight: float = 1.0
    cross_entropy: float = 0.0
    relabel_steps: int = 0
    sure_edge: float = 0.8
    sure_interior: float = 0.2

    def __call__(self, batch: EdgeBatch, index: BatchIndex) -> Losses:
        """Return `loss` and its parts, and the mean probability, which shows a collapse."""
        model, size = self.model, batch.labels.shape[-1]
        batch = batch.to(model.backbone.device)
        latents = model.encode(batch.images)  # (B, C, h, w)
        labels = batch.labels
        generation = index.step // self.relabel_steps if self.relabel_steps else 0
        if generation:
            model.update_teacher(generation)
            teacher_prediction = model.teacher_prediction(latents, batch.images)
            labels = relabel(labels, teacher_prediction, self.sure_edge, self.sure_interior)
        states = model.read(latents, batch.images)
        probability = edge_probability(model.generator(states.maps), (size, size))  # (B, S, S)
        dice, counted = masked_dice(probability, labels)
        reconstruction = reconstruction_loss(
            self.reconstruction,
            model.backbone,
            batch.images,
            latents,
            model.pipeline.generator_latents(latents),
            states,
            model.generator.config.timestep,
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
