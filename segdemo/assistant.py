"""The annotation assistant: one verb a task, over models that are loaded when first needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from segdemo.checkpoints.backbone import BackboneFiles, locate_backbone
from segdemo.checkpoints.diffdis import DiffDISFiles, locate_diffdis
from segdemo.checkpoints.registry import (
    DEFAULT_BACKBONE,
    DEFAULT_MODEL,
    DEFAULT_PROMPTER,
    embedded_names,
    registered_source,
)
from segdemo.datatypes import (
    AttentionTrace,
    EdgeMap,
    EdgeSource,
    FloatMap,
    InputError,
    InstanceMasks,
    Progress,
    RGBImage,
    SegmentationResult,
)
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffegg.settings import TraceSettings
from segdemo.model_gate import Borrow, ModelGate, model_call
from segdemo.prompting.interface import PromptedMask, Prompter, WindowRefiner
from segdemo.prompting.prompts import Prompt
from segdemo.rip.settings import ROBUST, RIPSettings
from segdemo.rip.subject import subject_parts
from segdemo.settings import AUTO_PRECISION, check_precision
from segdemo.uis.methods import UISSettings, find_objects, methods

if TYPE_CHECKING:
    import torch

    from segdemo.diffdis.pipeline import DiffDISPipeline
    from segdemo.diffegg.pipeline import DiffEGGPipeline
    from segdemo.loaded_models import LoadedModels
    from segdemo.uis.features import PatchFeatures

ALWAYS_THERE = ("auto", "cpu")
"""Devices that need not be looked for."""

ProposalEdges = Literal["diffegg", "diffdis"]
"""Whose edges cut the subject's mask: the backbone's, or those that come with the mask."""


class AnnotationAssistant:
    """Owns the device and the models; one call of a model at a time (`ModelGate`)."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        device: str = "auto",
        precision: str = AUTO_PRECISION,
        backbone: str = DEFAULT_BACKBONE,
        features: str = "",
        gpu: Borrow | None = None,
        prompter: str = DEFAULT_PROMPTER,
        autoencoder: str = "",
        compiled: bool = False,
        others: Sequence[str] = (),
    ) -> None:
        """Find the models and the device; nothing is loaded yet.

        model: what segments: a registered name, a folder, a U-Net file or a Hub id. backbone: the
        text-to-image model whose attention is looked into: a registered name, a folder or a Hub id.
        It is looked for when first needed. precision: see `segdemo.precision`. features: a DINO or
        DINOv2 ViT, a folder or a Hub id, looked for when first needed. gpu: `spaces.GPU` where
        calls borrow a GPU. prompter: what answers boxes and clicks: a registered name, a folder or
        a Hub id, looked for when first needed. autoencoder: one in place of the models' own, a
        folder or a Hub id. compiled: let PyTorch compile what segments. others: further models
        that `segment` can be asked for by name. Raises InputError (CheckpointError for the models).
        """
        check_precision(precision)
        if device not in ALWAYS_THERE:
            _find_device(device)
        self._wanted_device = device
        self._precision = precision
        self._autoencoder = autoencoder
        self._compiled = compiled
        self._files: DiffDISFiles = locate_diffdis(model)
        self._models = {model: self._files} | {
            name: locate_diffdis(name) for name in others if name != model
        }
        self._backbone_name = backbone
        self._features_name = features
        self._prompter_name = prompter
        self._prompted_image = b""  # hash of the image that the prompter has seen
        self._gate = ModelGate(gpu)
        self._gate.guard(self)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that segment, the default first."""
        return tuple(self._models)

    @property
    def native_size(self) -> int:
        """Side in pixels that the model was trained at."""
        return self.native_size_of()

    def native_size_of(self, model: str = "") -> int:
        """Return the side in pixels that one of `models` was trained at; raises InputError."""
        return self._files_of(model).card.native_size

    @property
    def device_name(self) -> str:
        """Return where models run, such as "cpu" or "cuda"."""
        return str(self._device)

    @property
    def model_name(self) -> str:
        """Return what the default model calls itself."""
        return self._files.card.name

    @property
    def description(self) -> str:
        """Return one line: which model, how good it was measured to be, and its licence."""
        return self.description_of()

    def description_of(self, model: str = "") -> str:
        """Return the line of one of `models`, see `description`; raises InputError."""
        card = self._files_of(model).card
        figures = card.quality.get("iou", {})
        measured = ", ".join(f"{subset} {value:.2f}" for subset, value in figures.items())
        quality = f"measured IoU {measured}" if measured else "quality not measured"
        return f"{card.name} · {quality} · {card.licence}"

    @property
    def seed_matters(self) -> bool:
        """Whether the seed changes a mask: some models start from the mean of all noise."""
        return self._files.card.noise > 0

    @property
    def segment_defaults(self) -> DiffDISSettings:
        """The settings that suit the model: the paper's, but for what its card says."""
        return self.segment_defaults_of()

    def segment_defaults_of(self, model: str = "") -> DiffDISSettings:
        """Return the settings that suit one of `models`; raises InputError."""
        chosen: dict[str, Any] = dict(self._files_of(model).card.segment)
        return DiffDISSettings(**chosen)

    def load(self) -> None:
        """Load the weights now rather than at the first picture; raises CheckpointError."""
        with self._gate.turn():
            self._loaded_diffdis()

    @model_call
    def segment(
        self,
        image: RGBImage,
        settings: DiffDISSettings | None = None,
        progress: Progress | None = None,
        edges: bool = True,
        model: str = "",
    ) -> SegmentationResult:
        """Find the subject of a picture; see `DiffDISPipeline.__call__`.

        model: one of `models` in place of the default; raises InputError for others.
        """
        settings = settings or self.segment_defaults_of(model)
        return self._loaded_diffdis(model)(image, settings, progress, edges)

    @model_call
    def refine_window(
        self,
        image: RGBImage,
        mask: FloatMap,
        box: npt.NDArray[np.floating],
        settings: DiffDISSettings | None = None,
        model: str = "",
        by: Literal["", "model", "prompter"] = "",
    ) -> FloatMap:
        """Look again at a box of an image; see `window_refinement`.

        by: "model" or "prompter"; by default the model where it starts from the mask so far, else
        the prompter where it refines windows. model: see `segment`. Raises InputError.
        """
        by = by or ("model" if self._files_of(model).card.first_answer else "prompter")
        if by == "prompter":
            prompter = self._loaded_prompter()
            if isinstance(prompter, WindowRefiner):
                return prompter.refine_window(image, mask, box)
        settings = settings or self.segment_defaults_of(model)
        return self._loaded_diffdis(model).refine_window(image, mask, box, settings)

    @property
    def edge_source(self) -> EdgeSource:
        """How the backbone gives edges: by its edge generator if it has one, else by EdgeKL."""
        return _edge_source(self._backbone_files)

    @cached_property
    def other_edge_sources(self) -> dict[str, EdgeSource]:
        """The embedded backbones beside the chosen one that have an edge generator, by name."""
        others = [name for name in embedded_names("backbone") if name != self._backbone_name]
        sources = {name: _edge_source(locate_backbone(name)) for name in others}
        return {name: one for name, one in sources.items() if one.kind == "edge_generator"}

    @property
    def edge_label(self) -> str:
        """Say how the backbone gives edges, without a download: of the Hub, only the name.

        Nor does it fail where the backbone cannot be found; what needs it says so.
        """
        name = self._backbone_name
        known = registered_source(name, "backbone") is not None or Path(name).expanduser().is_dir()
        try:
            return self.edge_source.label if known else f"edges of {name}"
        except InputError:
            return f"edges of {name}"

    @property
    def backbone_description(self) -> str:
        """Return one line: whose attention is looked into, and its licence."""
        source = self.edge_source
        generator = " · with its edge generator" if source.kind == "edge_generator" else ""
        if source.training:
            generator += f", {source.training}"
        return f"{source.name}{generator} · {source.licence}"

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
        with self._gate.turn():
            self._loaded_diffegg()

    @cached_property
    def _backbone_files(self) -> BackboneFiles:
        return locate_backbone(self._backbone_name)

    @model_call
    def trace(
        self,
        image: RGBImage,
        settings: TraceSettings | None = None,
        instances: npt.NDArray[np.int64] | None = None,
    ) -> Iterator[AttentionTrace]:
        """Read the backbone's attention step by step; see `DiffEGGPipeline.trace`."""
        yield from self._loaded_diffegg().trace(image, self._sized(settings), instances)

    @property
    def understands_prompts(self) -> bool:
        """Whether the backbone has a text encoder."""
        return self._backbone_files.has_text_encoder

    @model_call
    def generate(
        self, prompt: str, settings: TraceSettings | None = None
    ) -> tuple[AttentionTrace, RGBImage]:
        """Trace the generation of an image; see `segdemo.diffegg.generation.generate`.

        prompt: words, without meaning unless `understands_prompts`.
        """
        return self._loaded.generate(self._backbone_files, prompt, self._sized(settings))

    @model_call
    def edges(
        self,
        image: RGBImage,
        settings: TraceSettings | None = None,
        rule: str = "paper",
        source: str = "",
    ) -> EdgeMap:
        """Return an image's instance edges at its own size; see `DiffEGGPipeline.edges`.

        source: one of `other_edge_sources` in place of the backbone; raises InputError for others.
        """
        if not source:
            return self._loaded_diffegg().edges(image, self._sized(settings), rule)
        if source not in self.other_edge_sources:
            known = ", ".join(self.other_edge_sources) or "none"
            raise InputError(f"Edges of {source[:40]!r}: the other edge generators are {known}.")
        files = locate_backbone(source)
        settings = settings or TraceSettings(**files.trace)
        sized = replace(settings, size=settings.size or files.native_size)
        return self._loaded.diffegg(files).edges(image, sized, rule)

    @model_call
    def attention_edges(
        self, image: RGBImage, settings: TraceSettings | None = None, rule: str = "paper"
    ) -> EdgeMap:
        """Return edges from the backbone's attention; see `DiffEGGPipeline.attention_edges`."""
        return self._loaded_diffegg().attention_edges(image, self._sized(settings), rule)

    def _sized(self, settings: TraceSettings | None) -> TraceSettings:
        """Return the settings with a working size, by default those that suit the backbone."""
        settings = settings or self.trace_defaults
        return replace(settings, size=settings.size or self.trace_size)

    def load_features(self) -> None:
        """Load the ViT now rather than at the first picture.

        Raises CheckpointError, and InputError where none were named.
        """
        with self._gate.turn():
            self._loaded_features()

    def propose(
        self,
        image: RGBImage,
        method: str = "diffdis",
        threshold: float = 0.5,
        parts: RIPSettings = ROBUST,
        settings: UISSettings | None = None,
        edges: ProposalEdges = "diffegg",
    ) -> InstanceMasks:
        """Propose first instances of a picture that has none; they may number 0.

        diffdis: the subject's mask above `threshold`, cut into parts along `edges`; none where
        nothing stands out. The methods of `segdemo.uis.methods`: objects by the `features` given,
        with `settings`, by default the paper's. Raises InputError for another method or source of
        edges, and without features for a method that needs them.
        """
        if edges not in get_args(ProposalEdges):
            raise InputError(f"Edges {edges!r}: choose diffegg or diffdis.")
        if method == "diffdis":
            subject = self.segment(image, edges=edges == "diffdis")
            if not subject.found_something:
                return InstanceMasks.unscored(np.zeros((0, *image.shape[:2]), bool))
            edge = subject.known_edge if edges == "diffdis" else self.edges(image).probability
            return subject_parts(subject.mask, edge, threshold, parts)
        if method not in methods():
            raise InputError(f"Method {method!r}: choose one of diffdis, {', '.join(methods())}.")
        return find_objects(method, self._patch_keys(image), image, settings)

    def load_prompter(self) -> None:
        """Load what answers boxes and clicks now; raises CheckpointError."""
        with self._gate.turn():
            self._loaded_prompter()

    @model_call
    def prompt(self, image: RGBImage, prompts: Sequence[Prompt]) -> list[PromptedMask]:
        """Return the masks of the objects that prompts mean, one each; see `Prompter`.

        An image that was the last one asked about is not encoded again.
        """
        prompter = self._loaded_prompter()
        seen = hashlib.blake2b(image.tobytes() + repr(image.shape).encode()).digest()
        if seen != self._prompted_image:
            prompter.set_image(image)
            self._prompted_image = seen
        return [prompter.predict(prompt) for prompt in prompts]

    @model_call
    def _patch_keys(self, image: RGBImage) -> npt.NDArray[np.float32]:
        return self._loaded_features().keys(image)

    @cached_property
    def _device(self) -> torch.device:
        return _find_device(self._wanted_device)

    @cached_property
    def _loaded(self) -> LoadedModels:
        """The models; to be touched by one thread at a time, behind the gate."""
        from segdemo.loaded_models import LoadedModels  # seconds: it brings PyTorch and diffusers

        return LoadedModels(self._device, self._precision, self._autoencoder, self._compiled)

    def _loaded_features(self) -> PatchFeatures:
        if not self._features_name:
            raise InputError(
                "This method needs features: give a DINO ViT by --features FOLDER, a folder as "
                "transformers saves it or a Hub id such as facebook/dino-vitb8."
            )
        return self._loaded.features(self._features_name)

    def _loaded_prompter(self) -> Prompter:
        return self._loaded.prompter(self._prompter_name)

    def _loaded_diffegg(self) -> DiffEGGPipeline:
        return self._loaded.diffegg(self._backbone_files)

    def _loaded_diffdis(self, model: str = "") -> DiffDISPipeline:
        return self._loaded.diffdis(model or self.models[0], self._files_of(model))

    def _files_of(self, model: str) -> DiffDISFiles:
        if not model:
            return self._files
        if model not in self._models:
            raise InputError(f"Model {model[:40]!r}: choose one of {', '.join(self._models)}.")
        return self._models[model]


def _find_device(name: str) -> torch.device:
    from segdemo.diffusion import pick_device  # seconds: it brings PyTorch

    return pick_device(name)


def _edge_source(files: BackboneFiles) -> EdgeSource:
    kind: Literal["edge_generator", "edge_kl"]
    kind = "edge_kl" if files.edge_generator is None else "edge_generator"
    return EdgeSource(kind, files.name, files.licence, files.edge_training)
