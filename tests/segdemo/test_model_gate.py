"""Every call of a model goes through one gate: alone, and on a ZeroGPU Space on a borrowed GPU."""

from __future__ import annotations

import inspect
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import app
from segdemo.assistant import AnnotationAssistant
from segdemo.diffegg.settings import TraceSettings
from segdemo.model_gate import ModelGate, model_call, watch_line
from segdemo.prompting.prompts import Prompt
from tests.segdemo.uis.vits import write_vit

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
MASK = np.zeros((40, 50), np.float32)
STEPS = TraceSettings(timesteps=(500, 100))
VERBS: dict[str, Callable[[AnnotationAssistant], Any]] = {
    "segment": lambda assistant: assistant.segment(IMAGE),
    "refine_window": lambda assistant: assistant.refine_window(
        IMAGE, MASK, np.array([5, 5, 30, 30])
    ),
    "trace": lambda assistant: list(assistant.trace(IMAGE, STEPS)),
    "generate": lambda assistant: assistant.generate("a cat", STEPS),
    "edges": lambda assistant: assistant.edges(IMAGE, STEPS),
    "attention_edges": lambda assistant: assistant.attention_edges(IMAGE, STEPS),
    "propose": lambda assistant: assistant.propose(IMAGE, "tokencut"),
    "prompt": lambda assistant: assistant.prompt(IMAGE, [Prompt(np.array([5, 5, 30, 30]))]),
}


class Lent:
    """Stands in for ZeroGPU: runs calls that are pickled on their way in and out, and counts."""

    def __init__(self) -> None:
        self.module = ModuleType("spaces")
        self.module.GPU = self.gpu  # type: ignore[attr-defined]
        self.inside = False
        self.calls: list[str] = []

    def gpu(self, task: Callable[..., Any]) -> Callable[..., Any]:
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
            self.calls.append(task.__name__)
            for step in task(*args, **kwargs):
                yield pickle.loads(pickle.dumps(step))

        def call(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
            self.calls.append(task.__name__)
            self.inside = True
            try:
                return pickle.loads(pickle.dumps(task(*args, **kwargs)))
            finally:
                self.inside = False

        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            self.inside = True
            try:
                yield from generate(*args, **kwargs)
            finally:
                self.inside = False

        return steps if inspect.isgeneratorfunction(task) else call


def _public_verbs() -> set[str]:
    """Return the methods that run a model; `.._of` tells what a model's card says."""
    found = inspect.getmembers(AnnotationAssistant, inspect.isfunction)
    names = {name for name, _ in found if not name.startswith(("_", "load"))}
    return {name for name in names if not name.endswith("_of")}


@pytest.fixture
def arguments(tiny_diffdis_folder: Path, tiny_backbone_folder: Path, tmp_path: Path) -> list[str]:
    """Model, device, precision, backbone and features of an assistant."""
    write_vit(tmp_path)
    return [str(tiny_diffdis_folder), "cpu", "fp32", str(tiny_backbone_folder), str(tmp_path)]


def test_on_a_space_every_verb_runs_its_models_on_a_borrowed_gpu(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = Lent()
    monkeypatch.setitem(sys.modules, "spaces", lent.module)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assistant = app.build_assistant(*arguments)
    assert not lent.calls  # weights are loaded before a GPU is there
    ran: list[bool] = []
    networks = (
        assistant._loaded_diffdis().unet,
        assistant._loaded_diffegg().backbone.network,
        assistant._loaded_features()._network,
        assistant._loaded_prompter().network.encoder[0],
    )
    for network in networks:
        network.register_forward_hook(lambda *_: ran.append(lent.inside))
    assert set(VERBS) == _public_verbs()
    for name, verb in VERBS.items():
        ran.clear()
        lent.calls.clear()
        verb(assistant)
        assert ran, name
        assert all(ran), name
        assert len(lent.calls) == 1, name
    told: list[tuple[int, int]] = []
    assistant.segment(IMAGE, None, lambda *progress: told.append(progress))
    assert told == [(0, 1)]  # the bar cannot reach the other process


def test_elsewhere_nothing_is_borrowed(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert app.build_assistant(*arguments).segment(IMAGE).mask.shape == (40, 50)


class Model:
    """Counts who is inside at once."""

    def __init__(self) -> None:
        self.gate = ModelGate()
        self.gate.guard(self)

    @model_call
    def once(self) -> int:
        return len(self.gate)

    @model_call
    def steps(self) -> Iterator[int]:
        for _ in range(3):
            yield len(self.gate)


def test_a_generator_holds_the_gate_one_step_at_a_time() -> None:
    model = Model()
    assert model.once() == 1
    assert len(model.gate) == 0
    for held in model.steps():
        assert held == 1
        assert model.once() == 1  # another call goes through between two steps


def test_a_single_call_waits_for_one_of_a_batch() -> None:
    model, ran = Model(), []
    told: dict[str, list[int]] = {"batch": [], "single": []}

    def run(name: str, calls: int) -> None:
        with watch_line(told[name].append):
            for _ in range(calls):
                model.once()
                ran.append(name)

    with model.gate.turn():
        threads = []
        for name, calls in (("batch", 3), ("single", 1)):
            threads.append(threading.Thread(target=run, args=(name, calls)))
            threads[-1].start()
            _until(lambda: len(model.gate) == len(threads) + 1)
        _until(lambda: told["single"])
    for thread in threads:
        thread.join(5)
    assert ran == ["batch", "single", "batch", "batch"]
    assert (told["single"][0], told["single"][-1]) == (2, 0)


def test_a_watch_that_raises_takes_its_call_out_of_the_line() -> None:
    model = Model()

    def leave(before: int) -> None:
        raise KeyboardInterrupt

    with model.gate.turn():
        with watch_line(leave), pytest.raises(KeyboardInterrupt):
            model.once()
        assert len(model.gate) == 1
    assert model.once() == 1


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
