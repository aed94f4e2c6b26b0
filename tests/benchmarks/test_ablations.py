"""The miniature of the paper's table 3: what its rows are, and what it says of their figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ablations import PARTS, SCRATCH, WHOLE, main, table, variants
from segdemo.images import load_rgb
from tests.training.diffdis.drawn_pairs import draw_pairs
from tests.training.diffdis.narrow import write_narrow
from training.diffdis.base import Ablation
from training.diffdis.settings import DiffDISTraining


def test_each_row_adds_one_part() -> None:
    rows = variants(DiffDISTraining(data_dir="here"))
    assert [(row.ablation, row.mixed) for row in rows.values()] == [
        (Ablation(edge_task=False, interaction="none", scale_injection=False), False),
        (Ablation(interaction="none", scale_injection=False), False),
        (Ablation(scale_injection=False), False),
        (Ablation(), False),
        (Ablation(), True),
        (Ablation(), True),
    ]
    assert [row.from_scratch for row in rows.values()] == 5 * [False] + [True]
    assert all(row.from_prior != row.from_scratch for row in rows.values())


def test_it_trains_all_rows_once_and_prints_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_narrow(tmp_path / "model", prior=True)
    data = draw_pairs(tmp_path / "data", 6)
    given = ["--data_dir", str(data), "--base_model", str(model), "--device", "cpu"]
    given += ["--output_dir", str(tmp_path / "runs"), "--figure", str(tmp_path / "curves.png")]
    given += ["--image_size", "64", "--batch_size", "2", "--precision", "fp32", "--seeds", "3"]
    given += ["--validate_steps", "1", "--max_steps"]
    assert main([*given, "2"]) == 0
    printed = capsys.readouterr().out
    for name in (*PARTS, SCRATCH):
        assert f"| {name} | 0." in printed
    assert "| loss at step | 2 |" in printed and "| max_f at step | 1 | 2 |" in printed
    assert load_rgb(tmp_path / "curves.png").shape[1] > 600
    assert not list((tmp_path / "runs").rglob("*.pt"))

    logs = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("*.csv")}
    assert main([*given, "2"]) == 0
    assert capsys.readouterr().out == printed
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("*.csv")} == logs
    assert main([*given, "3"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_change_counts_where_it_is_larger_than_what_seeds_differ_by(tmp_path: Path) -> None:
    def runs(name: str, figures: list[tuple[float, float]]) -> list[Path]:
        folders = [tmp_path / f"{name}{place}" for place in range(len(figures))]
        for folder, (max_f, mae) in zip(folders, figures, strict=True):
            folder.mkdir()
            (folder / "validation.csv").write_text(f"step,max_f,mae\n1,0,1\n2,{max_f},{mae}\n")
        return folders

    lines = table(
        {
            "none": runs("a", [(0.5, 0.2), (0.6, 0.2), (0.7, 0.2)]),
            WHOLE: runs("b", [(0.6, 0.1), (0.7, 0.1), (0.8, 0.1)]),
            SCRATCH: runs("c", [(0.1, 0.3), (0.2, 0.3), (0.3, 0.3)]),
        }
    )
    assert lines[2:] == [
        "| none | 0.600 ± 0.100 |  | 0.200 ± 0.000 |  |",
        "| + CutMix | 0.700 ± 0.100 | +0.100, within spread | 0.100 ± 0.000 | -0.100, better |",
        "| all, from scratch | 0.200 ± 0.100 | -0.500, worse | 0.300 ± 0.000 | +0.200, worse |",
    ]
