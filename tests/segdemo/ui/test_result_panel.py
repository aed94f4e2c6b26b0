"""What the right side says of a result."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from segdemo.ui.cutout.result_panel import (
    NO_UNCERTAINTY,
    UNCERTAINTY,
    ResultPanel,
    clear,
    show,
    unchanged,
)
from segdemo.ui.cutout.results import CutoutView, KeptResult

KEPT = KeptResult(Path("/r"), Path("/r/u.png"), "cat.png", "256 px, 1 pass, cpu, 1.4 s", True)
VIEW = CutoutView(*(Path(f"/r/{name}") for name in ("b", "a", "m", "e", "c")), None, Path("/r/z"))


def said(values: list[object], field: str) -> object:
    return values[[entry.name for entry in fields(ResultPanel)].index(field)]


def test_every_component_gets_a_value() -> None:
    lengths = {len(values) for values in (show(VIEW, KEPT), clear(), unchanged("Stopped"))}
    assert lengths == {len(fields(ResultPanel))}


def test_the_line_says_so_when_nothing_stood_out() -> None:
    assert said(show(VIEW, KEPT), "status") == KEPT.summary
    line = str(said(show(VIEW, replace(KEPT, found_something=False)), "status"))
    assert "Nothing stood out in this picture" in line and KEPT.summary in line


def test_uncertainty_is_explained_where_there_is_none() -> None:
    assert said(show(VIEW, KEPT), "uncertainty_note") == NO_UNCERTAINTY
    with_map = replace(VIEW, uncertainty=Path("/r/d"))
    assert said(show(with_map, KEPT), "uncertainty_note") == UNCERTAINTY


def test_stopping_touches_only_the_status_line() -> None:
    values = unchanged("Stopped")
    assert said(values, "status") == "Stopped"
    assert sum(value == "Stopped" for value in values) == 1
