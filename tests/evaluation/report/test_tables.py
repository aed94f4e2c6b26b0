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


CELLS = {
    ("DiffDIS", "Table 2"): 6 * 5 * 12,
    ("DiffDIS", "Table 4"): 6 * 5,
    ("DiffEGG", "Table 1"): 8 * 3 * 2,
    ("DiffEGG", "Table 2"): 14 * 10 - 18,
    ("DiffEGG", "Table 3"): 7 * 2 * 2 + 6,
    ("DiffEGG", "Table 4"): 4 * 2 * 2,
    ("DiffEGG", "Table F"): 4 * 2 + 7,
    ("DiffEGG", "Table G"): 4 * 8 * 2,
}
"""Rows times columns of the printed tables, less the cells that hold a dash."""


def test_every_cell_of_the_papers_tables_is_held_once():
    names = [(r.paper, r.table, r.dataset, r.method, *r.figures) for r in ROWS]
    assert len(set(names)) == len(names)
    counted = {
        key: sum(len(row.figures) for row in ROWS if (row.paper, row.table) == key) for key in CELLS
    }
    assert counted == CELLS
    assert sorted(MISSING) == ["DiffDIS, Table 1", "DiffDIS, Table 3", "DiffDIS, Table 5"]


def test_rows_that_contradict_their_paper_say_why():
    by_name = {(r.table, r.dataset, r.method): r for r in ROWS if r.paper in ("DiffDIS", "DiffEGG")}
    assert all(row.consistent or row.doubt for row in ROWS)
    assert all(set(row.reproduced) <= row.figures.keys() for row in ROWS)
    for method in ("IFA", "PGNet"):  # exchanged with each other in one column
        assert not by_name["Table 2", "DIS-TE4", method].consistent
        assert by_name["Table 2", "Overall", method].consistent
    assert not by_name["Table 2", "Overall", "DiffDIS"].consistent
    assert not by_name["Table 2", "COCO2017", "DHR, ResNet-50, tags"].consistent
    assert by_name["Table G", "SA-1B", "ProMerge + DiffEGG"].figures == {"AP": 2.0, "AR100": 1.6}


@pytest.mark.parametrize(
    ("program", "dataset", "table", "figures"),
    [
        ("dis", "DIS-VD", "Table 2", ("maxF", "wF", "adpE", "meanE", "S", "MAE")),
        ("dis", "DIS-VD", "Table 4", ("maxF", "adpE", "S", "MAE")),
        ("wps", "COCO2017", "Table 2", ("PQ", "PQth", "PQst", "SQ", "RQ")),
        *(
            (program, dataset, table, ("AP", "AR100"))
            for program in ("uis", "rip")
            for dataset, table in [("COCO2017", "Table 1"), ("COCO2017", "Table 3")]
            + [("VOC2012", "Table 4"), ("LVIS", "Table G")]
        ),
        ("rip", "VOC2012", "Table F", ("AP",)),
    ],
)
def test_a_program_prints_the_rows_of_its_data_and_metrics(
    program: str, dataset: str, table: str, figures: tuple[str, ...]
):
    ours = {f"{dataset}/ours/{name}": 0.5 for name in figures}
    papers = rows_for(program, [dataset])
    text = tables(report(program=program, papers=papers, figures=ours))
    rows = [row for row in papers if row.table == table and row.paper in ("DiffDIS", "DiffEGG")]
    shown = [row for row in rows if set(figures) & row.figures.keys()]
    assert shown
    assert all(row.label in text for row in shown)
    assert set(figures) <= {name for row in rows for name in row.figures}


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
