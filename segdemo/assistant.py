"""The annotation assistant: one verb a task, over models that are loaded when first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from segdemo.checkpoints.backbone import BackboneFiles, locate_backbone
from segdemo.checkpoints.diffdis import DiffDISFiles, locate_diffdis
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.datatypes import (
    AttentionTrace,
    EdgeMap,
    InputError,
    InstanceMasks,
    Progress,
    RGBImage,
    SegmentationResult,
)
from segdemo.diffdis.loading import load_pipeline
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffegg.loading import load_pipeline as load_diffegg
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.settings import TraceSettings
from segdemo.diffusion import pick_device
from segdemo.rip.settings import ROBUST, RIPSettings
from segdemo.rip.subject import subject_parts
from segdemo.uis.features import PatchFeatures, load_features
from segdemo.uis.maskcut import PAPER_CUTS, MaskCutSettings, mask_cut

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ProposalMethod = Literal["diffdis", "maskcut"]
"""What first masks come from: the subject's mask cut by edges, or cuts over patch features."""
EdgeSource = Literal["diffegg", "diffdis"]
"""Whose edges cut the subject's mask: the backbone's, or those that come with the mask."""


class AnnotationAssistant:
    """Owns the device and the models; one pass of a model at a time, whoever asks."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        device: str = "auto",
        precision: str = "fp32",
        backbone: str = DEFAULT_MODEL,
        features: str = "",
    ) -> None:
        """Find the models and the device; nothing is loaded yet.

        model: what segments: a registered name, a folder, a U-Net file or a Hub id. backbone: the
        text-to-image model whose attention is looked into: a registered name, a folder or a Hub id.
        It is looked for when first needed. precision: fp32, bf16 or fp16. features: a DINO ViT for
        MaskCut, a folder or a Hub id, looked for when first needed. Raises InputError
        (CheckpointError for the model).
        """
        if precision not in PRECISIONS:
            raise InputError(f"Precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
        self._dtype = PRECISIONS[precision]
        self._device = pick_device(device)
        self._files: DiffDISFiles = locate_diffdis(model)
        self._backbone_name = backbone
        self._features_name = features
        self._pipeline: DiffDISPipeline | None = None
        self._diffegg: DiffEGGPipeline | None = None
        self._features: PatchFeatures | None = None
        self._lock = threading.Lock()

    @property
    def native_size(self) -> int:
        """Side in pixels that the model was trained at."""
        return self._files.card.native_size

    @property
    def device_name(self) -> str:
        """Return where models run, such as "cpu" or "cuda"."""
        return str(self._device)

    @property
    def description(self) -> str:
        """Return one line: which model, how good it was measured to be, and its licence."""
        card = self._files.card
        figures = card.quality.get("iou", {})
        measured = ", ".join(f"{subset} {value:.2f}" for subset, value in figures.items())
        quality = f"measured IoU {measured}" if measured else "quality not measured"
        return f"{card.name} · {quality} · {card.licence}"

    @property
    def segment_defaults(self) -> DiffDISSettings:
        """The settings that suit the model: the paper's, but for what its card says."""
        return DiffDISSettings(**self._files.card.segment)

    def load(self) -> None:
        """Load the weights now rather than at the first picture; raises CheckpointError."""
        with self._lock:
            self._loaded()

    def segment(
        self,
        image: RGBImage,
        settings: DiffDISSettings | None = None,
        progress: Progress | None = None,
    ) -> SegmentationResult:
        """Find the subject of a picture; see `DiffDISPipeline.__call__`."""
        with self._lock:
            return self._loaded()(image, settings or self.segment_defaults, progress)

    @property
    def backbone_description(self) -> str:
        """Return one line: whose attention is looked into, and its licence."""
        files = self._backbone_files
        generator = " · with its edge generator" if files.edge_generator else ""
        return f"{files.name}{generator} · {files.licence}"

    @property
    def trace_size(self) -> int:
        """Side in pixels that pictures are traced at unless a setting says otherwise."""
        return self.trace_defaults.size or self._backbone_files.native_size

    @property
    def trace_defaults(self) -> TraceSettings:
        """The settings that suit the backbone: the paper's, but for what its card says."""
        return TraceSettings(**self._backbone_files.trace)

    def load_backbone(self) -> None:
        """Load the backbone now rather than at the first trace; raises CheckpointError."""
        with self._lock:
            self._loaded_backbone()

    @cached_property
    def _backbone_files(self) -> BackboneFiles:
        return locate_backbone(self._backbone_name)

    def trace(
        self,
        image: RGBImage,
        settings: TraceSettings | None = None,
        instances: npt.NDArray[np.int64] | None = None,
    ) -> Iterator[AttentionTrace]:
        """Look into the backbone's attention step by step; see `segdemo.diffegg.tracing.trace`.

        The model is held for one step at a time, so that others need not wait for a whole trace.
        """
        settings = settings or self.trace_defaults
        settings = replace(settings, size=settings.size or self.trace_size)
        with self._lock:
            steps = self._loaded_backbone().trace(image, settings, instances)
        while True:
            with self._lock:
                grown = next(steps, None)
            if grown is None:
                return
            yield grown

    def edges(
        self, image: RGBImage, settings: TraceSettings | None = None, rule: str = "paper"
    ) -> EdgeMap:
        """Return a picture's instance edges at its own size; `origin` says how they were found.

        From the backbone's edge generator where it has one, in one pass. Else from EdgeKL at the
        step that `settings` or PeakKL choose; rule: sets the threshold that becomes 0.5 (see
        `segdemo.diffegg.pseudo_edge`). The generator knows neither.
        """
        settings = settings or self.trace_defaults
        settings = replace(settings, size=settings.size or self.trace_size)
        with self._lock:
            return self._loaded_backbone().edges(image, settings, rule)

    def load_features(self) -> None:
        """Load MaskCut's features now rather than at the first picture.

        Raises CheckpointError, and InputError where none were named.
        """
        with self._lock:
            self._loaded_features()

    def propose(
        self,
        image: RGBImage,
        method: ProposalMethod = "diffdis",
        threshold: float = 0.5,
        parts: RIPSettings = ROBUST,
        cuts: MaskCutSettings = PAPER_CUTS,
        edges: EdgeSource = "diffegg",
    ) -> InstanceMasks:
        """Propose first instances of a picture that has none; they may number 0.

        diffdis: the subject's mask above `threshold`, cut into parts along `edges`; none where
        nothing stands out. maskcut: objects by MaskCut on the `features` given. Raises InputError
        for another method or source of edges, and for maskcut without features.
        """
        if edges not in get_args(EdgeSource):
            raise InputError(f"Edges {edges!r}: choose diffegg or diffdis.")
        if method == "diffdis":
            subject = self.segment(image)
            if not subject.found_something:
                return InstanceMasks.unscored(np.zeros((0, *image.shape[:2]), bool))
            edge = subject.edge if edges == "diffdis" else self.edges(image).probability
            return subject_parts(subject.mask, edge, threshold, parts)
        if method != "maskcut":
            raise InputError(f"Method {method!r}: choose diffdis or maskcut.")
        with self._lock:
            keys = self._loaded_features().keys(image)
        return mask_cut(keys, (image.shape[0], image.shape[1]), cuts)

    def _loaded_features(self) -> PatchFeatures:
        if not self._features_name:
            raise InputError(
                "MaskCut needs features: give a DINO ViT by --features FOLDER, a folder as "
                "transformers saves it or a Hub id such as facebook/dino-vitb8."
            )
        if self._features is None:
            self._features = load_features(self._features_name, self._device, self._dtype)
        return self._features

    def _loaded_backbone(self) -> DiffEGGPipeline:
        if self._diffegg is None:
            self._diffegg = load_diffegg(self._backbone_files, self._device, self._dtype)
        return self._diffegg

    def _loaded(self) -> DiffDISPipeline:
        if self._pipeline is None:
            self._pipeline = load_pipeline(self._files, self._device, self._dtype)
        return self._pipeline
