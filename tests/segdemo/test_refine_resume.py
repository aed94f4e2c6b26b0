"""`refine` goes on where it was stopped, with the same results as if it had not been."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.annotations import read_masks, write_masks
from segdemo.annotations.stored_runs import to_json
from segdemo.commands import refine_sources
from segdemo.commands.resumable_run import ResumableRun, StoredMasks
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.rip.instances import refine_instances
from tests.segdemo.refine_scenes import SIZE, refine, squares, write_work

PART = "out.json.part"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_work(tmp_path)
    return tmp_path


@pytest.fixture
def stop_after_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the second photo be stopped by Ctrl+C; returns how to go on without."""
    calls = []

    def stopped(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return refine_instances(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(refine_sources, "refine_instances", stopped)
    return monkeypatch.undo


@pytest.fixture
def begun(work: Path, stop_after_one: Callable[[], None]) -> Path:
    """Leave a run of which a.png is done."""
    assert refine(work) == 130
    stop_after_one()
    return work


def refused(work: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """Run, expect exit code 2 and what was done untouched; returns what was said."""
    before = {path: path.read_bytes() for path in (work / PART).rglob("*.json")}
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        refine(work, *flags)
    assert leaving.value.code == 2
    assert {path: path.read_bytes() for path in (work / PART).rglob("*.json")} == before
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("stop_after_one")
def test_ctrl_c_keeps_what_is_done_and_says_so(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = work / PART
    assert refine(work) == 130
    assert f"Finished photos are kept in {kept}: the same command" in capsys.readouterr().err
    assert [path.name for path in (kept / "photos").iterdir()] == ["a.json"]
    assert not (work / "out.json").exists()


def test_the_same_command_does_the_rest_only(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert refine(begun) == 0
    said = capsys.readouterr().out
    assert f"1 of 2 photos are resumed from {begun / PART}." in said
    assert "a.png: resumed" in said
    assert "b.png: 1 masks, 1 split" in said
    assert not (begun / PART).exists()
    assert refine(begun, output="whole.json") == 0
    assert (begun / "out.json").read_bytes() == (begun / "whole.json").read_bytes()


def test_another_format_may_be_given(begun: Path) -> None:
    assert refine(begun, "--format", "panoptic") == 0
    assert len(read_masks(begun / "out.json")) == 2


def test_a_killed_run_goes_on(work: Path) -> None:
    names = [f"{number:02d}" for number in range(30)]
    for name in names:
        shutil.copy(work / "photos" / "a.png", work / "photos" / f"{name}.png")
        shutil.copy(work / "edges" / "a_edge.png", work / "edges" / f"{name}_edge.png")
    one = read_masks(work / "merged.json")["a.png"]
    write_masks({f"{name}.png": one for name in [*names, "a", "b"]}, work / "many.json", "coco")
    slow = ["--rip", "grid=1024"]
    code = "import sys; from tests.segdemo.refine_scenes import *; from pathlib import Path\n"
    code += f"refine(Path({str(work)!r}), *{slow!r}, masks='many.json')"
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    photos = work / PART / "photos"
    while not list(photos.glob("*.json")) and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in photos.glob("*.json")}
    assert 0 < len(done) < 32
    for path in done:
        json.loads(path.read_bytes())  # whole
    assert refine(work, *slow, masks="many.json") == 0
    assert len(read_masks(work / "out.json")) == 32
    assert not (work / PART).exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--contrast", "0.8"], "holds a run with edge_contrast 0.78, not 0.8"),
        (["--preset", "paper"], "holds a run with grid 512, not 128"),
        (["--semantic", "voc"], "holds a run with semantic unset, not voc"),
    ],
)
def test_other_settings_are_refused(
    begun: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(begun, capsys, *flags)
    assert words in said
    assert "give its settings to resume it, choose another --output, or delete" in said


def test_a_photo_whose_edges_changed_is_done_anew(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", SIZE[::-1]).save(begun / "edges" / "a_edge.png")
    assert refine(begun) == 0
    said = capsys.readouterr().out
    assert "0 of 2 photos are resumed" in said
    assert "1 changed since and is done again." in said
    assert [len(found) for found in read_masks(begun / "out.json").values()] == [1, 2]


@pytest.mark.parametrize("changed", ["photo", "masks", "names"])
def test_a_photo_that_changed_is_done_anew(
    begun: Path, changed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if changed == "photo":
        Image.new("RGB", SIZE[::-1]).save(begun / "photos" / "a.png")
    else:
        masks = dict(read_masks(begun / "merged.json"))
        pixels = np.array(masks["a.png"].masks)
        pixels[:, 0, 0] ^= changed == "masks"
        name = "box" if changed == "names" else "square"
        for photo in masks:
            masks[photo] = InstanceMasks.unscored(pixels, np.array([4]), {4: name})
        write_masks(masks, begun / "merged.json", "coco")
    assert refine(begun) == 0
    assert "1 changed since and is done again." in capsys.readouterr().out


def test_a_photo_that_lost_its_edges_is_not_taken_over(begun: Path) -> None:
    (begun / "edges" / "a_edge.png").unlink()
    assert refine(begun) == 1
    assert list(read_masks(begun / "out.json")) == ["b.png"]


def test_files_that_were_only_touched_are_taken_over(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (begun / "photos" / "a.png", begun / "edges" / "a_edge.png"):
        path.touch()
    assert refine(begun) == 0
    assert "1 of 2 photos are resumed" in capsys.readouterr().out


def test_a_damaged_photo_is_done_anew(begun: Path) -> None:
    (begun / PART / "photos" / "a.json").write_text("{")
    assert refine(begun) == 0
    assert [len(found) for found in read_masks(begun / "out.json").values()] == [2, 2]


def test_a_folder_of_someone_else_is_left_alone(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / PART).mkdir()
    (work / PART / "mine.txt").touch()
    assert "holds no earlier run" in refused(work, capsys)
    assert (work / PART / "mine.txt").exists()


def test_where_nothing_can_be_written(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        refine(work, output="merged.json/out.json")
    assert "cannot be written (File exists): choose another path" in capsys.readouterr().err


def test_what_came_in_the_way_is_not_replaced(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def meanwhile(*arguments: object) -> object:
        (begun / "out.json").write_text("mine")
        return refine_instances(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(refine_sources, "refine_instances", meanwhile)
    with pytest.raises(SystemExit):
        refine(begun)
    assert "exists by now" in capsys.readouterr().err
    assert (begun / "out.json").read_text() == "mine"
    assert len(list((begun / PART / "photos").iterdir())) == 2


def masks_of_all_kinds() -> dict[str, InstanceMasks]:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 7, 11)) > 0.5
    masks[1] = False
    scores = rng.random(3).astype(np.float32)
    names = {2: 'a "b" ü', 9: "unused"}
    crowd = np.array([True, False, True])
    return {
        "all": InstanceMasks(masks, scores, np.array([2, 0, 5]), names, crowd),
        "bare": InstanceMasks(masks, scores),
        "no crowd": InstanceMasks(masks, scores, np.array([2, 0, 5]), {}, np.zeros(3, bool)),
        "none": InstanceMasks.unscored(np.zeros((0, 7, 11), bool), np.zeros(0, np.int64), names),
    }


@pytest.mark.parametrize("kind", masks_of_all_kinds())
def test_kept_masks_come_back_as_they_were(kind: str, tmp_path: Path) -> None:
    masks = masks_of_all_kinds()[kind]
    with ResumableRun(tmp_path / "part", {}) as kept:
        kept.store.store("sea/fish.v1", "12", to_json(masks))
        assert kept.store.fingerprint("sea/fish.v1") == "12"
        back = StoredMasks(kept.store, {"fish": "sea/fish.v1"})["fish"].decoded()
    assert np.array_equal(back.masks, masks.masks)
    for field in ("scores", "category_ids", "crowd"):
        before, after = getattr(masks, field), getattr(back, field)
        assert (before is None) == (after is None)
        assert before is None or (before.dtype == after.dtype and np.array_equal(before, after))
    assert back.names == masks.names


def test_damaged_masks_are_refused(tmp_path: Path) -> None:
    with ResumableRun(tmp_path / "part", {}) as kept:
        kept.store.store("a", "1", to_json(InstanceMasks.unscored((squares() > 0)[None])))
        file = tmp_path / "part" / "photos" / "a.json"
        file.write_text(file.read_text().replace('"size": [90', '"size": [91'))
        with pytest.raises(InputError, match=r"a\.json is damaged: delete it"):
            kept.store.masks("a")
