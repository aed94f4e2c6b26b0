"""The page and the programs call a thing by its paper's name only where it is that thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from segdemo.assistant import AnnotationAssistant
from segdemo.ui.page import help_text
from segdemo.ui.refine.handlers import edge_sources

MODELS = ["tiny, not measured"]


@pytest.mark.parametrize(
    ("backbone", "origin", "diffegg"),
    [
        ("small", "without annotations", True),
        ("small-imagenet", "edges that people annotated, with ImageNet features", False),
    ],
)
def test_refine_says_what_taught_the_edge_generator(backbone: str, origin: str, diffegg: bool):
    assistant = AnnotationAssistant(device="cpu", backbone=backbone)
    (value, label), (other, other_label), *rest = edge_sources(assistant)
    assert (value, {backbone, other}) == ("diffegg", {"small", "small-imagenet"})
    assert other_label.startswith(f"Edge generator of {other}, ")
    assert other_label.endswith("not DiffEGG's method" if diffegg else "as DiffEGG describes")
    assert [one for one, _ in rest] == ["diffdis", "gradient"]
    assert label.startswith(f"Edge generator of {backbone}, ")
    assert origin in label
    assert label.endswith("as DiffEGG describes" if diffegg else "not DiffEGG's method")
    assert origin in assistant.backbone_description


def test_a_page_opens_without_looking_for_a_backbone_of_the_hub(tmp_path: Path):
    for name in ("nobody/nothing", str(tmp_path)):  # to be downloaded; a folder without a model
        (_, label), *_ = edge_sources(AnnotationAssistant(device="cpu", backbone=name))
        assert label == f"Edges of {name}"


def test_help_advises_another_seed_only_where_it_changes_the_mask():
    assert not AnnotationAssistant(device="cpu").seed_matters  # starts from the noise's mean
    assert AnnotationAssistant("small", device="cpu").seed_matters
    assert "- tiny, not measured\n" in help_text(True, MODELS)
    assert "another **seed**" in help_text(True, MODELS)
    assert "Try an **ensemble**" in help_text(False, MODELS)
    assert "{" not in help_text(True, MODELS)
