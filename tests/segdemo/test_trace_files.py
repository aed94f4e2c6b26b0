"""A trace as files: what each holds, and that it can be read back."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import AttentionStep, AttentionTrace, KLCurve
from segdemo.diffegg.pseudo_edge import pseudo_edge, split_score
from segdemo.diffegg.settings import TraceSettings
from segdemo.trace_files import TraceFiles, write_trace

SETTINGS = TraceSettings(timesteps=(999, 499, 99), layers="up|mid", seed=7)


def trace_of(
    timesteps: tuple[int, ...] = (999, 499, 99), ratios: tuple[float | None, ...] = (None,) * 3
) -> AttentionTrace:
    """Return a trace on 4 x 4 cells; the gaps rise, so the last step is the peak."""
    rng = np.random.default_rng(0)
    steps = tuple(
        AttentionStep(
            timestep,
            rng.integers(0, 256, (4, 4, 3), dtype=np.uint8),
            rng.random((4, 4), np.float32),
            rng.random((4, 4, 2, 2)).astype(np.float16),
            ratio,
        )
        for timestep, ratio in zip(timesteps, ratios, strict=True)
    )
    gaps = tuple(0.1 * (i + 1) for i in range(len(timesteps) - 1))
    curve = KLCurve(timesteps, gaps, len(timesteps) - 1, no_peak=not gaps)
    return AttentionTrace(steps, curve, ("mid.attn1", "up.attn1"), 32)


def written(folder: Path, trace: AttentionTrace | None = None) -> TraceFiles:
    trace = trace or trace_of()
    return write_trace(trace, pseudo_edge(trace.chosen.edge_score), SETTINGS, folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TraceFiles:
    return written(tmp_path_factory.mktemp("trace") / "sea" / "cat")


@pytest.fixture(scope="module")
def one_step(tmp_path_factory: pytest.TempPathFactory) -> TraceFiles:
    return written(tmp_path_factory.mktemp("one"), trace_of((999,), (None,)))


WITH_RATIOS = trace_of(ratios=(1.5, None, 0.5))


@pytest.fixture(scope="module")
def with_ratios(tmp_path_factory: pytest.TempPathFactory) -> TraceFiles:
    edge = pseudo_edge(WITH_RATIOS.chosen.edge_score, "log")
    return write_trace(WITH_RATIOS, edge, SETTINGS, tmp_path_factory.mktemp("ratios"))


def rows_of(file: Path) -> list[list[str]]:
    with file.open(newline="") as stream:
        return list(csv.reader(stream))


def test_all_files_and_nothing_else(files: TraceFiles):
    folder = files.arrays.parent
    names = ["kl_curve.csv", "kl_curve.png", "pca_999.png", "pca_499.png", "pca_99.png"]
    names += ["edge_score.png", "pseudo_edge.png", "trace.npz"]
    assert [file.name for file in files] == names
    assert sorted(files) == sorted(folder.iterdir())
    assert files == TraceFiles.below(folder, (999, 499, 99))


class TestCurveTable:
    def test_a_row_a_pair(self, files: TraceFiles):
        assert rows_of(files.curve) == [
            ["timestep", "next_timestep", "gap"],
            ["999", "499", "0.1"],
            ["499", "99", "0.2"],
        ]

    def test_the_ratio_is_that_of_the_next_step(self, with_ratios: TraceFiles):
        rows = rows_of(with_ratios.curve)
        assert [row[3] for row in rows] == ["own_other", "", "0.5"]

    def test_one_step_has_no_row(self, one_step: TraceFiles):
        rows = rows_of(one_step.curve)
        assert rows == [["timestep", "next_timestep", "gap"]]


class TestArrays:
    def test_everything_is_there_without_pickles(self, with_ratios: TraceFiles):
        trace = WITH_RATIOS
        edge = pseudo_edge(trace.chosen.edge_score, "log")
        with np.load(with_ratios.arrays, allow_pickle=False) as arrays:
            assert arrays["timesteps"].tolist() == [999, 499, 99]
            assert arrays["gaps"].tolist() == [0.1, 0.2]
            assert arrays["peak_timestep"] == arrays["shown_timestep"] == 99
            assert np.array_equal(arrays["pictures"], [step.picture for step in trace.steps])
            assert np.array_equal(arrays["edge_scores"], [step.edge_score for step in trace.steps])
            assert arrays["attention"].shape == (3, 4, 4, 2, 2)
            assert arrays["attention"].dtype == np.float16
            assert np.array_equal(arrays["own_other"], [1.5, np.nan, 0.5], equal_nan=True)
            assert np.array_equal(arrays["labels"], edge.labels)
            assert (arrays["lower"], arrays["upper"]) == (edge.lower, edge.upper)
            assert (str(arrays["rule"]), bool(arrays["guarded"])) == ("log", False)
            assert arrays["layers"].tolist() == ["mid.attn1", "up.attn1"]
            assert arrays["size"] == 32 and not arrays["flat"]
            assert json.loads(str(arrays["settings"])) == asdict(SETTINGS) | {
                "timesteps": [999, 499, 99]
            }

    def test_one_step_alone(self, one_step: TraceFiles):
        with np.load(one_step.arrays) as arrays:
            assert arrays["gaps"].shape == (0,)
            assert arrays["pictures"].shape == (1, 4, 4, 3)
            assert arrays["flat"]


class TestPictures:
    def test_every_step_is_enlarged_in_hard_squares(self, files: TraceFiles):
        for file, step in zip(files.pictures, trace_of().steps, strict=True):
            with Image.open(file) as picture:
                assert (picture.size, picture.mode) == ((512, 512), "RGB")
                assert np.array_equal(np.asarray(picture)[::128, ::128], step.picture)

    def test_figures_can_be_opened(self, with_ratios: TraceFiles):
        figures = (with_ratios.curve_figure, with_ratios.edge_score, with_ratios.pseudo_edge)
        for file in figures:
            with Image.open(file) as picture:
                picture.load()
                assert min(picture.size) > 400

    def test_another_step_than_the_peak_can_be_shown(self, tmp_path: Path):
        trace = trace_of()
        edge = split_score(trace.steps[0].edge_score, 0.2, 0.8)
        first = write_trace(trace, edge, SETTINGS, tmp_path / "first", shown=0)
        peak = write_trace(trace, edge, SETTINGS, tmp_path / "peak")
        with np.load(first.arrays) as arrays:
            assert arrays["shown_timestep"] == 999 and arrays["peak_timestep"] == 99
            assert str(arrays["rule"]) == "by hand"
        assert first.edge_score.read_bytes() != peak.edge_score.read_bytes()
        assert first.curve_figure.read_bytes() == peak.curve_figure.read_bytes()


class TestReplacing:
    def test_the_same_trace_is_the_same_bytes(self, files: TraceFiles, tmp_path: Path):
        for first, second in zip(files, written(tmp_path), strict=True):
            assert first.read_bytes() == second.read_bytes(), first.name

    def test_an_earlier_trace_is_replaced_whole_or_not_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "notes.txt").touch()
        written(tmp_path)
        files = written(tmp_path, replace(trace_of(), size=64))
        assert len(list(tmp_path.iterdir())) == len(list(files)) + 1
        with np.load(files.arrays) as arrays:
            assert arrays["size"] == 64

        before = files.arrays.read_bytes()

        def full_disk(stream, **_):
            stream.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "savez_compressed", full_disk)
        with pytest.raises(OSError, match="No space"):
            written(tmp_path)
        assert files.arrays.read_bytes() == before
        assert not list(tmp_path.glob(".*"))
