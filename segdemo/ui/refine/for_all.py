"""What a project's tasks need models for, by the assistant that serves the page."""

from __future__ import annotations

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import RGBImage
from segdemo.projects.background import Models
from segdemo.projects.prepared import Edges
from segdemo.ui.refine.api import edges_by

EDGE_WORDS = {"diffdis": "DiffDIS", "gradient": "gradient"}


def edge_words(assistant: AnnotationAssistant, source: str) -> str:
    """Return what edges of a source are called beside an image."""
    other = assistant.other_edge_sources.get(source)
    return EDGE_WORDS.get(source) or (other or assistant.edge_source).label


def models_of(assistant: AnnotationAssistant) -> Models:
    """Let tasks use an assistant's models, in turn with its visitors."""

    def edges(image: RGBImage, source: str) -> Edges:
        scores = edges_by(assistant, image, source).probability
        return Edges(scores, source, edge_words(assistant, source))

    return Models(edges, lambda image, method: assistant.propose(image, method), assistant.prompt)
