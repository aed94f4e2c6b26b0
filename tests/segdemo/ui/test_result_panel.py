"""What the right side says of a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from segdemo.cutouts import Finish
from segdemo.datatypes import SegmentationResult
from segdemo.ui.cutout.result_panel import (
    NO_UNCERTAINTY,
    UNCERTAINTY,
    ResultPanel,
    build_result_panel,
    build_status,
)
from segdemo.ui.cutout.results import KeptResult

MAP = np.full((2, 3), 0.5, np.float32)
RESULT = SegmentationResult(MAP, MAP, (0.0, 1.0))
KEPT = KeptResult(
    Path("/r"), Path("/r/u.png"), "cat.png", "256 px, cpu", True, np.zeros((2, 3, 3), np.uint8), MAP
)


@pytest.fixture
def panel() -> ResultPanel:
    with gr.Blocks():
        return build_result_panel(build_status())


def test_the_line_says_so_when_nothing_stood_out(panel: ResultPanel) -> None:
    assert panel.show(KEPT, RESULT, Finish())[panel.status] == KEPT.summary
    line = panel.show(replace(KEPT, found_something=False), RESULT, Finish())[panel.status]
    assert "Nothing stood out in this photo" in line and KEPT.summary in line


def test_uncertainty_is_explained_where_there_is_none(panel: ResultPanel) -> None:
    assert panel.show(KEPT, RESULT, Finish())[panel.uncertainty_note] == NO_UNCERTAINTY
    with_map = replace(RESULT, uncertainty=MAP)
    assert panel.show(KEPT, with_map, Finish())[panel.uncertainty_note] == UNCERTAINTY


def test_a_new_photo_clears_everything(panel: ResultPanel) -> None:
    assert set(panel.clear()) == set(panel.all)
