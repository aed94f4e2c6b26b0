"""How long work is kept: the flag `--keep`, a Space's default, and what the page says of it."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
import pytest

import app
from segdemo.assistant import AnnotationAssistant
from segdemo.editing.sessions import DAY, SessionStore
from segdemo.ui.refine.tab import build_refine_tab


def test_work_is_kept_for_ever_or_for_days_and_on_a_space_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SEGDEMO_KEEP", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    assert app.parse([]).keep is None
    assert app.parse(["--keep", "0.5"]).keep == 0.5
    monkeypatch.setenv("SPACE_ID", "somebody/segdemo")
    assert app.parse([]).keep == 1
    monkeypatch.setenv("SEGDEMO_KEEP", "30")
    assert app.parse([]).keep == 30


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "a week", ""])
def test_what_is_no_number_of_days_is_refused(
    days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app.parse(["--keep", days])
    assert ended.value.code == 2
    assert f"{days!r} is not a number of days, such as 7 or 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("days", [1, 0.5, None])
def test_the_page_says_how_long_work_is_kept_beside_the_export(
    days: float | None, tmp_path: Path
) -> None:
    lifetime = None if days is None else days * DAY
    with gr.Blocks() as demo:
        build_refine_tab(
            AnnotationAssistant("small", "cpu", "fp32"), SessionStore(tmp_path, lifetime)
        )
    parts = demo.get_config_file()["components"]
    (export,) = [part for part in parts if part["props"].get("elem_id") == "refine-export"]
    said = "keeps work for " + ("1 day" if days == 1 else f"{days} days") + " after its last use"
    assert export["props"]["open"] == (days is not None)
    assert (said in json.dumps(parts, default=str)) == (days is not None)
