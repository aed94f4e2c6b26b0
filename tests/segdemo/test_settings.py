"""Declared settings check themselves: ranges with both ends, choices, and values that are none."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import pytest

from segdemo.datatypes import InputError
from segdemo.settings import check_settings, setting


@dataclass(frozen=True)
class Example:
    size: int = setting(0, "Side.", minimum=0, maximum=2048, unit="pixels")
    draws: int = setting(1, "Draws of noise.", minimum=1)
    noise: str = setting("shared", "Which noise.", choices=("shared", "fresh"))
    timestep: int | None = setting(None, "Timestep.", minimum=0, maximum=999, may_change=True)

    def __post_init__(self) -> None:
        """Check."""
        check_settings(self)


def test_only_what_was_said_is_metadata() -> None:
    said = {entry.name: dict(entry.metadata) for entry in fields(Example)}
    assert said["draws"] == {"help": "Draws of noise.", "minimum": 1}
    assert said["timestep"]["may_change"] is True


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"size": 2049}, "size 2049 is outside 0 to 2048 pixels."),
        ({"size": math.nan}, "size nan is outside 0 to 2048 pixels."),
        ({"draws": 0}, "draws 0: choose 1 or more."),
        ({"noise": "none"}, "noise 'none': choose one of shared, fresh."),
        ({"timestep": -1}, "timestep -1 is outside 0 to 999."),
    ],
)
def test_a_value_outside_is_refused(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as refusal:
        Example(**changed)  # type: ignore[arg-type]
    assert str(refusal.value) == sentence


def test_both_ends_of_a_range_are_inside() -> None:
    Example(size=2048, timestep=999)
    Example(size=0, timestep=0)
