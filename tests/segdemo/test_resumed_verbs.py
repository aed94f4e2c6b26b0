"""Verbs that were killed go on with the same results, alone in their folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.__main__ import main
from segdemo.commands.resumable_run import ResumableRun
from segdemo.datatypes import InputError
from tests.segdemo.refine_scenes import write_work

COUNT = 6


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(COUNT):
        noise = np.random.default_rng(number).integers(0, 256, (40, 56, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def segment(photos: Path, tiny_diffdis_folder: Path) -> list[str]:
    model = ["--model", f"{tiny_diffdis_folder}", "--device", "cpu"]
    return ["segment", f"{photos}", "--output_dir", f"{photos.parent / 'out'}", *model]


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_killed_segment_does_the_rest_only(
    segment: list[str], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photos.parent / "out"
    running = subprocess.Popen([sys.executable, "-m", "segdemo", *segment], stdout=-3, stderr=-3)
    records = out / ".segdemo" / "segment" / "photos"
    while not list(records.glob("*.json")) and running.poll() is None:
        time.sleep(0.01)
    with pytest.raises(SystemExit):
        main(segment)  # at the same time
    said = " ".join(capsys.readouterr().err.split())
    assert "Another run is writing to" in said
    assert "wait until it has ended, or choose another --output_dir" in said
    running.kill()
    assert running.wait() == -signal.SIGKILL
    (out / f".{'0' * 16}.part").write_bytes(b"half a")
    done = {p.stem for p in records.glob("*.json")}
    assert 0 < len(done) < COUNT
    before = {p: p.stat().st_mtime_ns for p in out.glob("*_mask.png") if p.stem[0] in done}
    assert main(segment) == 0
    said = capsys.readouterr().out
    assert f"{len(done)} of {COUNT} photos are finished in {out}" in said
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(results(out)) == 3 * COUNT
    fresh = photos.parent / "fresh"
    assert main([*segment, "--output_dir", f"{fresh}"]) == 0
    assert results(fresh) == results(out)
    (photos / "0.png").write_bytes((photos / "1.png").read_bytes())
    (out / "2_edge.png").unlink()
    capsys.readouterr()
    assert main(segment) == 0
    assert f"{COUNT - 2} of {COUNT} photos are finished" in capsys.readouterr().out
    assert (out / "0_mask.png").read_bytes() == (out / "1_mask.png").read_bytes()


def test_other_settings_are_named(segment: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(segment) == 0
    assert main(segment) == 0
    for flags, words in (
        (["--threshold", "0.5"], "a run with threshold unset, not 0.5"),
        (["--seed", "3"], "a run with seed unset, not 3"),
    ):
        with pytest.raises(SystemExit):
            main([*segment, *flags])
        said = " ".join(capsys.readouterr().err.split())
        assert f"holds {words}: give its settings to resume it, choose another --output_dir" in said


def test_refine_gives_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    write_work(tmp_path)
    command = ["refine", "--images", f"{tmp_path / 'photos'}", "--edges", f"{tmp_path / 'edges'}"]
    command += ["--masks", f"{tmp_path / 'merged.json'}"]
    for workers in ("1", "2"):
        output = tmp_path / f"{workers}.json"
        assert main([*command, "--output", f"{output}", "--workers", workers]) == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_kill_leaves_no_lock_and_no_half_written_file(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from segdemo.commands.resumable_run import ResumableRun\n"
        f"with ResumableRun(Path({str(tmp_path / 'part')!r}), {{}}) as run:\n"
        "    run.store.store('a', '1', {})\n    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    with (
        pytest.raises(InputError, match="Another run is writing"),
        ResumableRun(tmp_path / "part", {}),
    ):
        pass
    holder.kill()
    holder.wait()
    half = tmp_path / "part" / "photos" / f".{'a' * 16}.part"
    half.touch()
    with ResumableRun(tmp_path / "part", {}) as run:
        assert run.store.fingerprint("a") == "1"
        assert not half.exists()


def test_links_in_a_loop_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_work(tmp_path)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    command = ["refine", "--images", f"{tmp_path / 'photos'}", "--output", f"{tmp_path / 'o.json'}"]
    for flags in (
        ["--masks", f"{loop}", "--edges", f"{tmp_path / 'edges'}"],
        ["--masks", f"{tmp_path / 'merged.json'}", "--edges", f"{loop}"],
    ):
        with pytest.raises(SystemExit):
            main([*command, *flags])
        assert "loop" in capsys.readouterr().err
