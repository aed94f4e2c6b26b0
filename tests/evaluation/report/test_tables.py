"""The form of results, problems, reference rows and plots."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from evaluation.core.cli import Parser, add_run
from evaluation.data.validation import FileError, error_table, report_errors
from evaluation.report.paper_tables import MISSING, ROWS, rows_for
from evaluation.report.plots import error_panel, precision_recall_figure, save_figure
from evaluation.report.provenance import list_digest
from evaluation.report.tables import Report, tables, write_report
from segdemo.datatypes import InputError


def report(**changes: object) -> Report:
    values = {
        "program": "dis",
        "protocol": "soft",
        "figures": {"DIS-VD/sod/maxF": 1 / 3, "DIS-VD/sod/S": math.nan},
        "per_image": [{"name": "a", "sod/maxF": 1 / 3}, {"name": "b", "more": 2, "curve": [1]}],
        "counts": {"pictures": 2},
        "notes": ["a note"],
    }
    return Report(**(values | changes))


def test_results_hold_six_digits_versions_command_and_no_nan(tmp_path: Path):
    write_report(report(), tmp_path, [])
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["figures"] == {"DIS-VD/sod/maxF": 0.333333, "DIS-VD/sod/S": None}
    assert {"python", "segdemo", "numpy", "scipy", "pycocotools"} <= set(results["versions"])
    assert results["command"].startswith("python -m evaluation.dis")
    assert (tmp_path / "results.csv").read_text() == (
        "figure,value\nDIS-VD/sod/maxF,0.333333\nDIS-VD/sod/S,\n"
    )
    assert (tmp_path / "per_image.csv").read_text() == ("name,sod/maxF,more\na,0.333333,\nb,,2\n")


def test_our_row_stands_under_the_papers_rows_and_doubts_are_marked():
    text = tables(report(papers=rows_for("dis"), figures={"Overall/diffdis/adpE": 0.9}))
    assert text.splitlines()[2:6] == [
        "| Overall | adpE |",
        "| --- | --- |",
        "| DiffDIS (DiffDIS, Table 2; binarised maps) \\* | 0.947 |",
        "| **diffdis** | 0.900 |",
    ]
    assert "the mean of DIS-TE1 to 4 is 0.951" in text


def test_reference_rows_are_named_once_and_say_what_is_missing():
    names = [(row.table, row.paper, row.dataset, row.method) for row in ROWS]
    assert len(set(names)) == len(names)
    assert all(row.figures for row in ROWS)
    assert {row.program for row in ROWS} == {"dis", "uis", "wps", "rip"}
    assert rows_for("dis", ["DIS-VD"])[0].figures["maxF"] == 0.918
    assert "DiffDIS, Table 5" in MISSING


def test_a_list_of_files_has_the_same_digest_anywhere_but_not_for_other_sizes(tmp_path: Path):
    for folder in ("one", "two"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        for name in ("b", "deep/a"):
            (tmp_path / folder / name).write_text(name)
    one, two = (list_digest([tmp_path / f / "deep/a", tmp_path / f / "b"]) for f in ("one", "two"))
    assert one == two
    assert one["files"] == 2
    (tmp_path / "two" / "b").write_text("longer")
    assert list_digest([tmp_path / "two/deep/a", tmp_path / "two/b"]) != one


def test_problems_are_told_together_and_only_missing_ones_can_be_allowed(capsys):
    lacking = FileError("a.png", "is missing.", optional=True)
    broken = FileError("long_name.png", "is broken.")
    assert error_table([lacking, broken]).splitlines() == [
        "file           problem",
        "a.png          is missing.",
        "long_name.png  is broken.",
    ]
    assert report_errors([], allow_missing=False) == []
    assert report_errors([lacking], allow_missing=True) == ["left out: a.png: is missing."]
    for problems, allowed in (([lacking], False), ([lacking, broken], True)):
        with pytest.raises(InputError, match="problems"):
            report_errors(problems, allowed)
    assert "long_name.png" in capsys.readouterr().err


def test_flags_go_with_underscores_and_with_hyphens():
    for flags in (
        ["--output_dir", "o", "--allow_missing"],
        ["--output-dir", "o", "--allow-missing"],
    ):
        parser = Parser("A program.")
        add_run(parser)
        assert parser.parse_args(flags).allow_missing
        assert parser.parse_args(flags).output_dir == Path("o")


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_workers_are_counted_from_one(workers: str):
    parser = Parser("A program.")
    add_run(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--output_dir", "o", "--workers", workers])


def test_errors_have_a_colour_of_their_own_and_agreement_is_white():
    truth = np.array([[1, 1, 0, 0]], bool)
    found = np.array([[1, 0, 1, 0]], bool)
    panel = error_panel(None, truth, found)
    assert panel.shape == (1, 12, 3)
    assert panel[0, 8:].tolist() == [[255, 255, 255], [0, 114, 178], [213, 94, 0], [0, 0, 0]]


def test_a_figure_has_the_same_bytes_every_time(tmp_path: Path):
    for name in ("a.png", "b.png"):
        save_figure(precision_recall_figure({"x": ([0, 1], [1, 0.5])}), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
