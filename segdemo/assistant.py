"""The annotation assistant: one verb a task, over models that are loaded when first needed."""

from __future__ import annotations

import threading

import torch

from segdemo.checkpoints import CheckpointFiles, locate
from segdemo.datatypes import InputError, Progress, RGBImage, SegmentationResult
from segdemo.diffdis.loading import load_pipeline
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffusion import pick_device

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class AnnotationAssistant:
    """Owns the device and the models; one pass of a model at a time, whoever asks."""

    def __init__(self, model: str = "small", device: str = "auto", precision: str = "fp32") -> None:
        """Find the model and the device; nothing is loaded yet.

        model: a registered name, a folder, a U-Net file or a Hub id. precision: fp32, bf16 or
        fp16. Raises InputError (CheckpointError for the model).
        """
        if precision not in PRECISIONS:
            raise InputError(f"Precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
        self._dtype = PRECISIONS[precision]
        self._device = pick_device(device)
        self._files: CheckpointFiles = locate(model)
        self._pipeline: DiffDISPipeline | None = None
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
            return self._loaded()(image, settings, progress)

    def _loaded(self) -> DiffDISPipeline:
        if self._pipeline is None:
            self._pipeline = load_pipeline(self._files, self._device, self._dtype)
        return self._pipeline
