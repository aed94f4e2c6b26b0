"""`python -m segdemo COMMAND`: usage, results, exit status."""

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
import torch
from PIL import Image

from segdemo.__main__ import main
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffegg.settings import TraceSettings
from tests.segdemo.diffegg.backbones import write_own


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


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the flags that choose a tiny text-to-image model."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    write_own(folder)
    return ["--backbone", f"{folder}", "--device", "cpu"]


def files_below(folder: Path) -> list[str]:
    """Return a folder's files but for the record of what is finished."""
    files = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    return sorted(file.as_posix() for file in files if ".segdemo" not in file.parts)


class TestWrongUsage:
    def test_help_is_quick_and_brings_no_torch(self):
        code = (
            "import sys, runpy\n"
            "sys.argv = ['segdemo', '--help']\n"
            "try:\n    runpy.run_module('segdemo', run_name='__main__')\n"
            "finally:\n"
            "    for name in ('torch', 'matplotlib'):\n"
            "        assert name not in sys.modules, f'{name} was imported'\n"
        )
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert all(verb in done.stdout for verb in ("segment", "trace", "edges"))
        assert time.perf_counter() - started < 20  # generous: a busy machine, no torch all the same

    @pytest.mark.parametrize(
        ("verb", "settings"),
        [("segment", DiffDISSettings), ("trace", TraceSettings), ("edges", TraceSettings)],
    )
    def test_help_of_the_verb_explains_every_setting(
        self, capsys: pytest.CaptureFixture[str], verb: str, settings: type
    ):
        with pytest.raises(SystemExit) as leaving:
            main([verb, "--help"])
        assert leaving.value.code == 0
        said = "".join(capsys.readouterr().out.split())  # lines also break at hyphens
        for setting in fields(settings):
            assert f"--{setting.name}" in said
            assert "".join(setting.metadata["help"].split()) in said

    def test_no_verb(self, capsys: pytest.CaptureFixture[str]):
        assert "COMMAND" in usage_error([], capsys)

    def test_no_output_folder(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        assert "--output_dir" in usage_error(["segment", photo], capsys)

    def test_output_folder_is_a_file(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        said = usage_error(["segment", photo, "--output_dir", photo], capsys)
        assert said.endswith("is a file: name a folder.")

    def test_output_folder_below_a_file(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        said = usage_error(["segment", photo, "--output_dir", photo / "out"], capsys)
        assert "cannot be created (Not a directory): choose another folder." in said

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
            ("--seed", "-1", "seed -1 is outside 0 to"),
            ("--size", "large", "invalid int value"),
            ("--size", "100", "must be a multiple of 64"),
            ("--ensemble", "0", "ensemble 0 is outside 1 to 32 passes"),
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
        assert f"{photo.parent / 'bad.png'} is not an image" in said.err
        results = files_below(out)
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


@pytest.mark.parametrize("verb", ["trace", "edges"])
class TestWrongTraceSettings:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--timesteps", "500"], "1 timestep: PeakKL compares neighbours, give at least 2."),
            (["--timesteps", "99", "199"], "Timesteps 99 199 must fall, from noisy to clean"),
            (["--timesteps", "500", "500"], "Timesteps 500 500 must fall, from noisy to clean"),
            (["--timesteps", "1000", "500"], "Timestep 1000 is outside 0 to 999."),
            (["--timesteps", "500", "-1"], "Timestep -1 is outside 0 to 999."),
            (["--timesteps", "high"], "invalid int value"),
            (["--layers", "("], "Layer filter '(' matches none of"),
            (["--layers", "nowhere"], "Layer filter 'nowhere' matches none"),
            (["--edge_metric", "l3"], "invalid choice"),
            (["--rule", "strict"], "invalid choice"),
            (["--size", "100"], "must be a multiple of 64"),
            (["--seed", "-1"], "seed -1 is outside 0 to"),
            (["--fixed_timestep", "1000"], "fixed_timestep 1000 is outside 0 to 999."),
            (["--fixed_timestep", "soon"], "soon is neither a timestep nor peak"),
            (["--device", "cpu:zz"], "is not a device's name"),
            (["--noise_draws", "0"], "noise_draws 0 is outside 1 to 64."),
            (["--backbone", "enormous"], "No backbone 'enormous'"),
            (["--device", "abacus"], "Device 'abacus' is not available"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_a_wrong_value_is_named_in_one_sentence(
        self,
        backbone: list[str],
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        verb: str,
        options: list[str],
        said: str,
    ):
        out = tmp_path / "out"
        arguments = [verb, photo, "--output_dir", out, *backbone, *options]
        assert said in usage_error(arguments, capsys)
        assert files_below(tmp_path) == ["photos/cat.png"]

    def test_a_folder_without_a_network(
        self, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
    ):
        arguments = [verb, photo, "--output_dir", tmp_path / "out", "--backbone", photo.parent]
        said = usage_error(arguments, capsys)
        assert f"{photo.parent} is not a text-to-image model" in said
        assert all(name in said for name in ("unet/", "transformer/"))

    def test_settings_are_refused_though_the_first_photo_is_bad(
        self,
        backbone: list[str],
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        verb: str,
    ):
        photo.with_name("a.png").write_bytes(b"no picture")
        arguments = [verb, photo.parent, "--output_dir", tmp_path / "out", *backbone]
        said = usage_error([*arguments, "--layers", "nowhere"], capsys)
        assert "Layer filter 'nowhere' matches none" in said

    def test_the_output_folder_is_never_an_input(
        self, photo: Path, capsys: pytest.CaptureFixture[str], verb: str
    ):
        said = usage_error([verb, photo.parent, "--output_dir", photo.parent], capsys)
        assert "is both an input and --output_dir" in said


class TestTrace:
    def test_photos_of_a_folder_with_a_truncated_one_among_them(
        self,
        backbone: list[str],
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        save(photo.parent / "sea" / "fish.jpg", (31, 47))
        truncated = photo.with_name("bad.png")
        truncated.write_bytes(photo.read_bytes()[:-2000])
        out = tmp_path / "out"
        grid = ["--timesteps", "900", "500", "100"]
        code = main(["trace", f"{photo.parent}", "--output_dir", f"{out}", *backbone, *grid])
        assert code == 1
        said = capsys.readouterr()
        assert f"{truncated} is damaged or incomplete" in said.err
        assert f"2 of 3 done, results in {out}" in said.out
        names = ["edge_score.png", "kl_curve.csv", "kl_curve.png"]
        names += ["pca_100.png", "pca_500.png", "pca_900.png", "pseudo_edge.png", "trace.npz"]
        assert files_below(out) == [
            f"{stem}/{name}" for stem in ("cat", "sea/fish") for name in names
        ]
        table = (out / "cat" / "kl_curve.csv").read_text().splitlines()
        assert [row.rsplit(",", 1)[0] for row in table[1:]] == ["900,500", "500,100"]
        with np.load(out / "cat" / "trace.npz", allow_pickle=False) as arrays:
            assert arrays["timesteps"].tolist() == [900, 500, 100]
            peak = arrays["peak_timestep"]
        assert f"cat.png: PeakKL keeps timestep {peak}, edges at {peak} by rule" in said.out

    def test_a_fixed_step_is_the_one_whose_edges_are_written(
        self,
        backbone: list[str],
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        for step in (900, 500, 100):
            out = tmp_path / str(step)
            grid = ["--timesteps", "900", "500", "100", "--fixed_timestep", f"{step}"]
            assert main(["trace", f"{photo}", "--output_dir", f"{out}", *backbone, *grid]) == 0
            assert f"edges at {step} by rule" in capsys.readouterr().out
            with np.load(out / "cat" / "trace.npz", allow_pickle=False) as arrays:
                assert arrays["shown_timestep"] == step
                index = arrays["timesteps"].tolist().index(step)
                above = arrays["edge_scores"][index] > arrays["upper"]
                assert np.array_equal(above, arrays["labels"] == 1)

    def test_settings_reach_the_model_and_results_repeat(
        self, backbone: list[str], photo: Path, tmp_path: Path
    ):
        def scores(name: str, *options: str) -> np.ndarray:
            out = tmp_path / name
            grid = ["--timesteps", "700", "300"]
            arguments = ["trace", f"{photo}", "--output_dir", f"{out}", *backbone, *grid, *options]
            assert main(arguments) == 0
            with np.load(out / "cat" / "trace.npz", allow_pickle=False) as arrays:
                if "--rule" in options:
                    assert str(arrays["rule"]) == "log"
                return arrays["edge_scores"]

        plain = scores("plain", "--rule", "log")
        assert np.array_equal(scores("again"), plain)
        for options in (
            ("--seed", "7"),
            ("--noise", "fresh"),
            ("--noise_draws", "2"),
            ("--layers", "mid"),
            ("--layer_weights", "resolution"),
            ("--edge_metric", "js"),
            ("--border", "zero"),
        ):
            assert not np.array_equal(scores(options[0][2:], *options), plain), options
        assert scores("size", "--size", "64").shape[1] == plain.shape[1] // 2

    def test_a_result_would_replace_a_photo(
        self, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        out = tmp_path / "out"
        other = save(out / "cat" / "pca_99.png")
        before = other.read_bytes()
        said = usage_error(["trace", photo, other, "--output_dir", out], capsys)
        assert f"{other} is one of the photos" in said
        assert other.read_bytes() == before

    def test_ctrl_c_stops_cleanly(
        self,
        backbone: list[str],
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        out = tmp_path / "out"
        many = ["--timesteps", *map(str, range(999, -1, -1)), "--noise_draws", "64"]
        presser = threading.Timer(1.0, signal.raise_signal, [signal.SIGINT])
        presser.start()
        assert main(["trace", f"{photo}", "--output_dir", f"{out}", *backbone, *many]) == 130
        assert capsys.readouterr().err.strip().endswith("Results written so far are complete.")
        assert files_below(out) == []


class TestEdges:
    def test_grey_pictures_of_the_photos_size_and_their_origin(
        self,
        backbone: list[str],
        photo: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):
        save(photo.parent / "sea" / "fish.jpg", (31, 47))
        photo.with_name("bad.png").write_bytes(b"no picture")
        out = tmp_path / "out"
        grid = ["--timesteps", "700", "300"]
        code = main(["edges", f"{photo.parent}", "--output_dir", f"{out}", *backbone, *grid])
        assert code == 1
        said = capsys.readouterr()
        assert f"{photo.with_name('bad.png')} is not an image" in said.err
        assert f"{photo}: 50 x 30, from DiffEGG: EdgeKL of " in said.out
        assert files_below(out) == ["cat_edge.png", "sea/fish_edge.png"]
        for name, size in (("cat", (50, 30)), ("sea/fish", (31, 47))):
            with Image.open(out / f"{name}_edge.png") as picture:
                assert (picture.size, picture.mode) == (size, "L")
                assert len(picture.getcolors()) > 10

    def test_the_rule_sets_what_becomes_middle_grey(
        self, backbone: list[str], photo: Path, tmp_path: Path
    ):
        def edge(rule: str) -> np.ndarray:
            out = tmp_path / rule
            grid = ["--timesteps", "700", "300", "--rule", rule]
            assert main(["edges", f"{photo}", "--output_dir", f"{out}", *backbone, *grid]) == 0
            return np.asarray(Image.open(out / "cat_edge.png"))

        assert np.array_equal(edge("paper"), edge("mean"))  # they share the upper threshold
        assert not np.array_equal(edge("paper"), edge("log"))

    def test_a_result_would_replace_a_photo(self, photo: Path, capsys: pytest.CaptureFixture[str]):
        other = save(photo.with_name("cat_edge.png"))
        said = usage_error(["edges", photo, other, "--output_dir", photo.parent], capsys)
        assert f"{other} is one of the photos" in said
