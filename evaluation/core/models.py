"""Models of a measuring process: loaded once in each, named by what can be handed to it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segdemo.assistant import AnnotationAssistant


@functools.cache
def mask_model(model: str, device: str, precision: str) -> AnnotationAssistant:
    """Return what segments, loaded; raises InputError."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(model, device, precision)
    assistant.load()
    return assistant


@functools.cache
def edge_model(backbone: str, device: str, precision: str) -> AnnotationAssistant:
    """Return what reads a backbone's attention, loaded; raises InputError."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    assistant = AnnotationAssistant(device=device, precision=precision, backbone=backbone)
    assistant.load_backbone()
    return assistant
