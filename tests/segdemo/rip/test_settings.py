"""Parameters of RIP: each algorithm has its own, and refuses those of the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segdemo.datatypes import InputError
from segdemo.rip.settings import CAREFUL, PAPER, WalkSettings, from_pairs, with_changes


def test_presets_change_by_name_and_by_the_names_of_old_command_lines() -> None:
    assert from_pairs("paper", ["edge_threshold=0.4", "grid=64"]) == replace(
        PAPER, edge_threshold=0.4, grid=64
    )
    assert from_pairs("careful", ["contrast=0.8", "smallest_part=0"]) == replace(
        CAREFUL, edge_contrast=0.8, min_component=0
    )
    assert with_changes("careful", {"join_probability": 0.5, "grid": 128.0}) == replace(
        CAREFUL, join_probability=0.5, grid=128
    )


@pytest.mark.parametrize(
    ("preset", "changes", "words"),
    [
        ("best", {}, "choose one of careful, robust, paper"),
        (
            "careful",
            {"steps": 9},
            "steps is not a parameter of preset careful.*edge_contrast.*join",
        ),
        ("robust", {"join": 0.2}, "join is not a parameter of preset robust.*random walk.*beta"),
        ("robust", {"gap": 1.5}, "gap must be an integer, not '1.5'"),
        ("robust", {"beta": "much"}, "beta must be a number, not 'much'"),
        ("robust", {"beta": "nan"}, "beta must be a number"),
        ("robust", {"grid": 1024, "radius": 16}, "too much memory"),
    ],
)
def test_wrong_changes_are_refused(preset: str, changes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_changes(preset, changes)


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="edge_threshold 2 is outside"):
        WalkSettings(edge_threshold=2)
