"""The models that were loaded so far, on one device.

What needs PyTorch, diffusers or transformers lies below this module, whose import takes seconds:
`segdemo.assistant` imports it when a model is first needed.
"""

from __future__ import annotations

import torch

from segdemo.checkpoints.backbone import BackboneFiles
from segdemo.checkpoints.diffdis import DiffDISFiles
from segdemo.datatypes import AttentionTrace, RGBImage
from segdemo.diffdis.loading import load_diffdis
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffegg.generation import generate
from segdemo.diffegg.loading import encode_prompt, load_diffegg
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.settings import TraceSettings
from segdemo.precision import exact_dtype
from segdemo.prompting.interface import Prompter
from segdemo.prompting.loading import load_prompter
from segdemo.uis.features import PatchFeatures, load_features


class LoadedModels:
    """Loads each model once, by its name; every method raises CheckpointError where it cannot."""

    def __init__(
        self, device: torch.device, precision: str, autoencoder: str, compiled: bool
    ) -> None:
        """Load nothing yet; see `AnnotationAssistant`."""
        self._device = device
        self._precision = precision
        self._dtype = exact_dtype(precision)  # of all but what segments
        self._autoencoder = autoencoder
        self._compiled = compiled
        self._diffdis: dict[str, DiffDISPipeline] = {}
        self._diffegg: dict[str, DiffEGGPipeline] = {}
        self._features: dict[str, PatchFeatures] = {}
        self._prompters: dict[str, Prompter] = {}

    def diffdis(self, name: str, files: DiffDISFiles) -> DiffDISPipeline:
        """Return what segments."""
        if name not in self._diffdis:
            self._diffdis[name] = load_diffdis(
                files, self._device, self._precision, self._autoencoder, self._compiled
            )
        return self._diffdis[name]

    def diffegg(self, files: BackboneFiles) -> DiffEGGPipeline:
        """Return what traces and finds edges."""
        if files.name not in self._diffegg:
            self._diffegg[files.name] = load_diffegg(
                files, self._device, self._dtype, self._autoencoder
            )
        return self._diffegg[files.name]

    def generate(
        self, files: BackboneFiles, prompt: str, settings: TraceSettings
    ) -> tuple[AttentionTrace, RGBImage]:
        """Trace the generation of an image; see `segdemo.diffegg.generation.generate`."""
        pipeline = self.diffegg(files)
        return generate(pipeline, settings, encode_prompt(files, pipeline.backbone, prompt))

    def features(self, name: str) -> PatchFeatures:
        """Return a ViT without labels."""
        if name not in self._features:
            self._features[name] = load_features(name, self._device, self._dtype)
        return self._features[name]

    def prompter(self, name: str) -> Prompter:
        """Return what answers boxes and clicks."""
        if name not in self._prompters:
            self._prompters[name] = load_prompter(name, self._device, self._dtype)
        return self._prompters[name]
