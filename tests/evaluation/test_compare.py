"""Two result folders: paired figures, refusals, exit codes for CI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation import compare
from evaluation.report.tables import Report, write_report


def result(folder: Path, values: dict[str, float], protocol: str = "soft") -> Path:
    folder.mkdir()
    figures = {"set/sod/maxF": float(np.mean(list(values.values()))), "set/sod/S": float("nan")}
    rows = [{"name": name, "sod/maxF": value, "size": 9} for name, value in values.items()]
    write_report(Report("dis", protocol, figures, rows, {}, []), folder, [])
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    before = {f"{number:03d}": round(v, 6) for number, v in enumerate(rng.uniform(0.5, 0.8, 80))}
    after = {name: round(v + rng.normal(0.02, 0.03), 6) for name, v in before.items()}
    return result(tmp_path / "a", before), result(tmp_path / "b", after)


def run(*arguments: object) -> int:
    return compare.main([str(argument) for argument in arguments])


def test_a_steady_gain_is_found_and_its_interval_excludes_zero(pair):
    a, b = (compare.read_result(folder) for folder in pair)
    before, after = compare.paired(a, b, list(a.rows), "sod/maxF")
    found = compare.compare(before, after, draws=1000, seed=0)
    assert found.images == 80
    assert found.low < found.difference < found.high
    assert found.low > 0
    assert found.p < 0.001
    assert found.rose + found.fell == 80


def test_the_interval_covers_the_true_gain_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        low, high = compare.bootstrap_interval(rng.normal(0.1, 1, 60), 500, seed)
        inside += low <= 0.1 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_no_change_is_no_gain():
    same = np.linspace(0, 1, 30)
    found = compare.compare(same, same, draws=100, seed=0)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_report_holds_only_what_changed(pair, tmp_path, capsys):
    assert run(*pair, "--output_dir", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "**maxF**" in printed
    assert "size" not in printed
    assert (tmp_path / "out/plots/sod_maxF.png").exists()
    assert (tmp_path / "out/per_image.csv").read_text().startswith("name,sod/maxF\n000,")


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (["--fail_below", "maxF=0.5"], 0),
        (["--fail-below", "maxF=0.9"], 1),
        (["--fail_below", "sod/maxF=0.5", "set/sod/maxF=0.99"], 1),
        (["--fail_above", "maxF=0.5"], 1),
        (["--fail_below", "S=0"], 1),  # undefined is not good enough
        (["--fail_below", "wF=0.5"], 2),
    ],
)
def test_a_missed_bound_fails_the_run(pair, bounds, code):
    assert run(*pair, *bounds) == code


def test_the_sentence_names_figure_value_and_bound(pair, capsys):
    run(*pair, "--fail_below", "maxF=0.95")
    said = capsys.readouterr().err
    assert "set/sod/maxF is 0.6" in said
    assert "below 0.95." in said


def test_other_protocols_and_pictures_are_refused(pair, tmp_path, capsys):
    other = result(tmp_path / "c", {"000": 0.5}, protocol="hard")
    assert run(pair[0], other) == 2
    assert "measure both alike" in capsys.readouterr().err
    fewer = result(tmp_path / "d", {"000": 0.5, "001": 0.4})
    assert run(pair[0], fewer) == 2
    assert run(pair[0], fewer, "--allow_missing") == 0
    assert run(pair[0], tmp_path) == 2
