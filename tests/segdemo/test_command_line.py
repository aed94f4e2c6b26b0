"""`python -m segdemo segment`: usage, results, exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.__main__ import main


def save(path: Path, size: tuple[int, int] = (50, 30)) -> Path:
    """Write a picture of coloured noise, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def usage_error(arguments: list[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """Run, expect exit code 2, and return the last line said."""
    with pytest.raises(SystemExit) as leaving:
        main([str(argument) for argument in arguments])
    assert leaving.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "photos" / "cat.png")


class TestWrongUsage:
    def test_help_is_quick_and_brings_no_torch(self):
        code = (
            "import sys, runpy\n"
            "sys.argv = ['segdemo', '--help']\n"
            "try:\n    runpy.run_module('segdemo', run_name='__main__')\n"
            "finally:\n    assert 'torch' not in sys.modules, 'torch was imported'\n"
        )
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "segment" in done.stdout
        assert time.perf_counter() - started < 20  # generous: a busy machine, no torch all the same

    def test_help_of_the_verb_explains_every_setting(self, capsys: pytest.CaptureFixture[str]):
        from segdemo.diffdis.settings import DiffDISSettings

        with pytest.raises(SystemExit) as leaving:
            main(["segment", "--help"])
        assert leaving.value.code == 0
        said = " ".join(capsys.readouterr().out.split())
        for setting in fields(DiffDISSettings):
            assert f"--{setting.name}" in said
            assert " ".join(setting.metadata["help"].split()) in said.replace("- ", "-")

    def test_no_verb(self, capsys: pytest.CaptureFixture[str]):
        assert "VERB" in usage_error([], capsys)

    def test_no_output_folder(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        assert "--output_dir" in usage_error(["segment", photo], capsys)

    def test_output_folder_is_a_file(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        said = usage_error(["segment", photo, "--output_dir", photo], capsys)
        assert said.endswith("is a file: name a folder.")

    def test_output_folder_below_a_file(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        said = usage_error(["segment", photo, "--output_dir", photo / "out"], capsys)
        assert "cannot be made (Not a directory): choose another folder." in said

    def test_output_folder_is_the_input_folder(
        self, photo: Path, capsys: pytest.CaptureFixture[str]
    ):
        said = usage_error(["segment", photo.parent, "--output_dir", photo.parent], capsys)
        assert "is both an input and --output_dir" in said

    def test_a_result_would_replace_a_photo(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        other = save(photo.with_name("cat_mask.png"))
        before = other.read_bytes()
        said = usage_error(["segment", photo, other, "--output_dir", photo.parent], capsys)
        assert f"{other} is one of the photos" in said
        assert other.read_bytes() == before

    def test_nothing_to_do(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        (tmp_path / "notes.txt").touch()
        said = usage_error(["segment", tmp_path, "--output_dir", tmp_path / "out"], capsys)
        assert said.endswith(f"Nothing to do: no photos in {tmp_path}.")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("option", "value", "said"),
        [
            ("--threshold", "1.5", "1.5 is not between 0 and 1"),
            ("--threshold", "nan", "nan is not between 0 and 1"),
            ("--threshold", "high", "invalid"),
            ("--precision", "int8", "invalid choice"),
            ("--seed", "-1", "-1 is not between 0 and"),
            ("--size", "large", "invalid int value"),
            ("--size", "100", "must be a multiple of 64"),
            ("--ensemble", "0", "choose 1 to 32"),
            ("--model", "enormous", "No model 'enormous'"),
            ("--device", "abacus", "Device 'abacus' is not available"),
        ],
    )
    def test_a_wrong_value_is_named(
        self,
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        option: str,
        value: str,
        said: str,
    ):
        arguments = ["segment", photo, "--output_dir", tmp_path / "out", option, value]
        assert said in usage_error(arguments, capsys)


class TestSegment:
    def test_a_folder_with_one_bad_file(
        self,
        tiny_diffdis_folder: Path,
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        save(photo.parent / "sea" / "fish.jpg", (31, 47))
        (photo.parent / "bad.png").write_bytes(b"no picture")
        out = tmp_path / "out"
        code = main(
            ["segment", f"{photo.parent}", "--output_dir", f"{out}"]
            + ["--model", f"{tiny_diffdis_folder}", "--device", "cpu"]
        )
        assert code == 1
        said = capsys.readouterr()
        assert f"2 of 3 done, results in {out}" in said.out
        assert said.err.count("bad.png") == 1
        assert f"{photo.parent / 'bad.png'} is not a picture" in said.err
        results = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*"))
        assert results == [
            f"{stem}_{kind}.png"
            for stem in ("cat", "sea/fish")
            for kind in ("cutout", "edge", "mask")
        ]
        for kind, mode in (("mask", "L"), ("edge", "L"), ("cutout", "RGBA")):
            with Image.open(out / "sea" / f"fish_{kind}.png") as picture:
                assert (picture.size, picture.mode) == ((31, 47), mode)

    def test_settings_reach_the_model_and_results_repeat(
        self, tiny_diffdis_folder: Path, photo: Path, tmp_path: Path
    ):
        def mask(name: str, *options: str) -> np.ndarray:
            out = tmp_path / name
            model = ["--model", f"{tiny_diffdis_folder}", "--device", "cpu"]
            assert main(["segment", f"{photo}", "--output_dir", f"{out}", *model, *options]) == 0
            return np.asarray(Image.open(out / "cat_mask.png"))

        plain = mask("plain")
        assert np.array_equal(mask("again"), plain)
        assert not np.array_equal(mask("seed", "--seed", "7"), plain)
        assert not np.array_equal(mask("size", "--size", "128"), plain)
        assert not np.array_equal(mask("ensemble", "--ensemble", "2"), plain)
        hard = mask("hard", "--threshold", "0.5")
        assert set(np.unique(hard)) == {0, 255}
        assert (hard[plain > 127] == 255).all() and (hard[plain < 127] == 0).all()

    def test_a_missing_photo_fails_alone(
        self,
        tiny_diffdis_folder: Path,
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        missing = tmp_path / "gone.jpg"
        out = tmp_path / "out"
        model = ["--model", f"{tiny_diffdis_folder}", "--device", "cpu"]
        assert main(["segment", f"{missing}", f"{photo}", "--output_dir", f"{out}", *model]) == 1
        assert f"{missing} does not exist: check the path." in capsys.readouterr().err
        assert (out / "cat_mask.png").exists()

    def test_ctrl_c_stops_cleanly(
        self,
        tiny_diffdis_folder: Path,
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        for number in range(20):
            save(photo.with_name(f"{number}.png"))
        out = tmp_path / "out"
        model = ["--model", f"{tiny_diffdis_folder}", "--device", "cpu", "--ensemble", "32"]
        presser = threading.Timer(1.0, signal.raise_signal, [signal.SIGINT])
        presser.start()
        assert main(["segment", f"{photo.parent}", "--output_dir", f"{out}", *model]) == 130
        assert capsys.readouterr().err.strip().endswith("Results written so far are complete.")
        assert not list(out.rglob("*.part"))
