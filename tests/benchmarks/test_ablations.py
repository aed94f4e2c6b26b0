"""The miniature of the paper's ablations: what its rows are, and what it says of their figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.ablation_measures import open_model, spread_of_masks
from benchmarks.ablation_tables import FINISHED, TABLES, TableRow, table_lines
from benchmarks.ablations import Ablations, main, variants
from segdemo.images import load_rgb
from tests.training.diffdis.drawn_pairs import draw_pairs
from tests.training.diffdis.narrow import write_narrow
from training.diffdis.base import Ablation
from training.diffdis.pairs import find_pairs
from training.diffdis.settings import DiffDISTraining

PLAIN = Ablation(edge_task=False, interaction="none", scale_injection=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_narrow(tmp_path_factory.mktemp("narrow") / "model", prior=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs") / "data", 6)


def test_rows_differ_in_what_their_table_is_about() -> None:
    common = DiffDISTraining(data_dir="here", base_model="small")
    found = variants(Ablations(), common)
    assert {name: (one.ablation, one.mixed) for name, one in found.items()} == {
        "none": (PLAIN, False),
        "edge": (Ablation(interaction="none", scale_injection=False), False),
        "dbia": (Ablation(scale_injection=False), False),
        "swci": (Ablation(), False),
        "cutmix": (Ablation(), True),
        "concat": (Ablation(interaction="concat", scale_injection=False), False),
        "scratch": (PLAIN, False),
        "drawn2": (Ablation(False, "none", False, "1*/2"), False),
        "unrolled2": (Ablation(False, "none", False, "2/2"), False),
        "drawn10": (Ablation(False, "none", False, "1*/10"), False),
    }
    assert [name for name, one in found.items() if one.from_scratch] == ["scratch"]
    assert all(one.from_prior != one.from_scratch for one in found.values())
    other = variants(Ablations(tables=["4"], other_prior="small-imagenet"), common)
    assert other["other_prior"].base_model == "small-imagenet" and "dbia" not in other


def test_it_trains_and_measures_each_variant_once_and_prints_all_tables(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data_dir", str(data), "--base_model", str(model), "--device", "cpu"]
    given += ["--output_dir", str(tmp_path / "runs"), "--figure", str(tmp_path / "curves.png")]
    given += ["--batch_size", "2", "--precision", "fp32", "--seeds", "3", "--noise_seeds", "2"]
    tables = ["4", "fig4"]
    given += ["--tables", *tables, "--validate_steps", "1", "--max_steps"]
    assert main([*given, "1"]) == 0
    printed = capsys.readouterr().out
    for row in (row for table in tables for row in TABLES[table] if row.variant != "other_prior"):
        assert f"| {row.label} | 0." in printed
    paper = "SD-Turbo, trained with 2 steps, tested with 2 (DiffDIS, Table 4; binarised maps)"
    assert f"| {paper} | 0.894" in printed
    assert "| loss at step | 1 |" in printed and "| max_f at step | 0 | 1 |" in printed
    assert load_rgb(tmp_path / "curves.png").shape[1] > 600
    assert not list((tmp_path / "runs").rglob("*.pt"))

    # a run that was stopped after training is measured, finished ones are left alone
    marks = sorted((tmp_path / "runs").rglob(FINISHED))
    times = {file: file.stat().st_mtime_ns for file in marks[1:]}
    assert len(marks) == 7
    marks[0].unlink()
    assert main([*given, "1"]) == 0
    assert marks[0].exists() and {file: file.stat().st_mtime_ns for file in marks[1:]} == times
    assert main([*given, "2"]) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--tables", "2"], "choose of 3, 4, 5, fig4"),
        (["--noise_seeds", "1"], "2 or more"),
        (["--preset", "paper"], "by the options themselves"),
    ],
)
def test_wrong_usage(given: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data_dir", "here", *given]) == 2
    assert sentence in capsys.readouterr().err


def test_the_spread_is_that_of_the_masks_over_seeds(model: Path, data: Path) -> None:
    pipeline = open_model(model, "cpu")
    pairs = find_pairs(data).pairs[:2]
    found = spread_of_masks(pipeline, pairs, 64, seeds=3)
    assert 0 < found["deviation"] < 0.5 and 0 < found["disagreement"] <= 1
    pipeline.noise = 0.0  # all seeds start from the same
    assert max(spread_of_masks(pipeline, pairs, 64, seeds=3).values()) < 1e-6


def test_a_change_counts_where_it_is_larger_than_what_seeds_differ_by(tmp_path: Path) -> None:
    def runs(name: str, figures: list[tuple[float, float]]) -> list[Path]:
        folders = [tmp_path / f"{name}{place}" for place in range(len(figures))]
        for folder, (max_f, mae) in zip(folders, figures, strict=True):
            folder.mkdir()
            values = {"maxF": max_f, "wF": 0.5, "adpE": 0.5, "S": 0.5, "MAE": mae, "seconds": 1}
            (folder / FINISHED).write_text(json.dumps({"figures": {"ddim": values}}))
        return folders

    every = {
        "a": runs("a", [(0.5, 0.2), (0.6, 0.2), (0.7, 0.2)]),
        "b": runs("b", [(0.6, 0.1), (0.7, 0.1), (0.8, 0.1)]),
        "c": runs("c", [(0.1, 0.3), (0.2, 0.3), (0.3, 0.3)]),
    }
    rows = [TableRow("first", "a"), TableRow("second", "b", "a"), TableRow("third", "c", "b")]
    lines = table_lines("3", rows, every)
    assert lines[-1].startswith("The paper's figures could not be had")
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert [row[1:3] + row[6:] for row in cells[5:8]] == [
        ["first", "0.600 ± 0.100", "0.200 ± 0.000", "1.000 ± 0.000", "", "", ""],
        ["second", "0.700 ± 0.100", "0.100 ± 0.000", "1.000 ± 0.000"]
        + ["+0.100, within spread", "-0.100, better", ""],
        ["third", "0.200 ± 0.100", "0.300 ± 0.000", "1.000 ± 0.000"]
        + ["-0.500, worse", "+0.200, worse", ""],
    ]
