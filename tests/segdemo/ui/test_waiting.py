"""Runs in the line for the models: their place is told, Stop and a closed page take them out."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.model_gate import ModelGate
from segdemo.ui.errors import Stopped
from segdemo.ui.events import StopSignal
from segdemo.ui.waiting import Place, follow


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(gate: ModelGate, stop: StopSignal | None = None) -> Iterator[object]:
    def work(_: StopSignal) -> Generator[str, None, None]:
        for name in ("first", "second"):
            with gate.turn():
                yield name

    return follow(work, stop)


def test_a_run_tells_its_place_and_then_its_results() -> None:
    gate = ModelGate()
    with gate.turn():
        run = waiting(gate)
        assert next(run) == Place(1)
    assert [news for news in run if news is not None] == [Place(0), "first", "second"]


@pytest.mark.parametrize("stopped", [True, False])
def test_stop_and_a_closed_page_take_a_run_out_of_the_line(stopped: bool) -> None:
    gate, stop = ModelGate(), StopSignal()
    with gate.turn():
        run = waiting(gate, stop)
        next(run)
        if stopped:
            stop.press()
            with pytest.raises(Stopped):
                list(run)
        else:
            run.close()  # type: ignore[attr-defined]  # as Gradio does
        until(lambda: len(gate) == 1)


def test_the_editor_opens_photos_while_many_wait_for_the_model(
    assistant: AnnotationAssistant, served: str, client: Client, tmp_path: Path
) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    with assistant._gate.turn():
        jobs = [
            client.submit(handle_file(str(tmp_path / "a.png")), api_name="/segment")
            for _ in range(24)
        ]
        until(lambda: len(assistant._gate) == 25)
        assert "1 photo opened." in json.dumps(_run_event(served, "open_example", [""]))
    for job in jobs:
        assert job.result(timeout=60)[3]["name"] == "a.png"


def _run_event(served: str, name: str, data: list[object]) -> Any:
    """Trigger an event of the page as its browser does; returns what it answers."""
    with urllib.request.urlopen(served + "config") as answer:
        known = json.load(answer)["dependencies"]
    (number,) = [one["id"] for one in known if one["api_name"] == name]
    body = {"data": data, "fn_index": number, "session_hash": "visitor"}
    request = urllib.request.Request(
        served + "gradio_api/queue/join",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()
    with urllib.request.urlopen(
        served + "gradio_api/queue/data?session_hash=visitor", timeout=30
    ) as messages:
        for line in messages:
            told = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if told.get("msg") == "process_completed":
                assert told["success"], told
                return told["output"]["data"]
    raise AssertionError("no answer")
