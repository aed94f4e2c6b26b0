"""An assistant with several models that segment."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.datatypes import InputError
from segdemo.diffdis.settings import DiffDISSettings

CARD = ModelCard("larger", "MIT", native_size=128, base=None)


@pytest.fixture
def two(tiny_diffdis_folder: Path, tmp_path: Path) -> tuple[AnnotationAssistant, str]:
    """An assistant whose other model works at 128 pixels, mirrored too, and that model's name."""
    other = shutil.copytree(tiny_diffdis_folder, tmp_path / "larger")
    write_card(replace(CARD, segment={"mirror": True}), other)
    names = [str(other), str(tiny_diffdis_folder)]
    return AnnotationAssistant(names[1], device="cpu", others=names), names[0]


def test_each_model_has_its_own_size_settings_and_mask(
    two: tuple[AnnotationAssistant, str],
) -> None:
    assistant, other = two
    assert assistant.models[1:] == (other,)
    assert (assistant.native_size, assistant.native_size_of(other)) == (64, 128)
    assert assistant.segment_defaults == DiffDISSettings()
    assert assistant.segment_defaults_of(other).mirror
    assert assistant.description_of(other).startswith("larger")

    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    masks = [assistant.segment(image, model=name).mask for name in ("", *assistant.models)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[1] != masks[2]).any()
    box = np.array([0, 0, 60, 40])
    windows = [
        assistant.refine_window(image, masks[0], box, model=name, by="model")
        for name in ("", other)
    ]
    assert (windows[0] != windows[1]).any()
    # neither starts from a mask, so that unless told otherwise the prompter looks
    by_prompter = assistant.refine_window(image, masks[0], box, by="prompter")
    np.testing.assert_array_equal(assistant.refine_window(image, masks[0], box), by_prompter)
    assert (by_prompter != windows[0]).any()


def test_a_model_that_was_not_allowed_is_refused(two: tuple[AnnotationAssistant, str]) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(InputError, match="Model 'official': choose one of"):
        two[0].segment(image, model="official")
