"""Rows in order, resumed rle, workers that fail."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evaluation.core.row_file import Row, RowFile
from evaluation.core.runner import PARTIAL, Sample, measure_all
from segdemo.datatypes import InputError


def third(payload: tuple[Path, int], calls: Path | None = None) -> Row:
    file, number = payload
    if calls:
        with calls.open("a") as log:
            log.write(f"{number}\n")
    time.sleep(0.02 * (number == 0))  # the first is the last to be ready
    return {"value": len(file.read_text()) / 3 + number}


def fail_at_two(payload: tuple[Path, int]) -> Row:
    if payload[1] == 2:
        raise InputError("two.png is broken.")
    return third(payload)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample[tuple[Path, int]]]:
    found = []
    for number in range(6):
        file = tmp_path / f"{number}.txt"
        file.write_text("x" * (number + 1))
        found.append(Sample(str(number), (file,), (file, number)))
    return found


def measured(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def test_any_number_of_workers_gives_the_same_rows_in_order(samples, tmp_path: Path):
    one = list(measure_all(samples, third, 1, tmp_path / "one"))
    two = list(measure_all(samples, third, 2, tmp_path / "two"))
    assert one == two
    assert [row["name"] for row in one] == list("012345")


def test_a_run_that_stopped_goes_on_where_it_was(samples, tmp_path: Path):
    out, log = tmp_path / "out", tmp_path / "log"
    rows = measure_all(samples, partial(third, calls=log), 1, out)
    first = [next(rows), next(rows)]
    rows.close()
    with (out / PARTIAL).open("a") as file:
        file.write('{"key": "cut off", "bytes": 999}\n{"na')  # as a kill leaves it
    every = list(measure_all(samples, partial(third, calls=log), 1, out))
    assert every[:2] == first
    assert measured(log) == [0, 1, 2, 3, 4, 5]
    assert list(measure_all(samples, partial(third, calls=log), 1, out)) == every
    assert len(measured(log)) == 6


def test_changed_bytes_are_measured_again_even_at_the_same_size_and_time(samples, tmp_path: Path):
    out, log = tmp_path / "out", tmp_path / "log"
    list(measure_all(samples, partial(third, calls=log), 1, out))
    samples[3].files[0].write_text("yyyy")
    list(measure_all(samples, partial(third, calls=log), 1, out))
    assert measured(log)[6:] == [3]


def test_other_settings_take_nothing_over(samples, tmp_path: Path):
    out, log = tmp_path / "out", tmp_path / "log"
    list(measure_all(samples, partial(third, calls=log), 1, out, settings="a"))
    list(measure_all(samples, partial(third, calls=log), 1, out, settings="b"))
    assert len(measured(log)) == 12


def test_rows_are_on_disk_before_the_run_ends(samples, tmp_path: Path):
    rows = measure_all(samples, third, 1, tmp_path / "out")
    next(rows)
    assert b'"name": "0"' in (tmp_path / "out" / PARTIAL).read_bytes()
    rows.close()


def test_arrays_come_back_exactly_and_not_as_text(tmp_path: Path):
    row = {"a": {"curve": np.linspace(0, 1, 7)}, "bits": np.arange(6, dtype="<u2").reshape(2, 3)}
    with RowFile(tmp_path / "rows") as rows:
        rows.append("k", row | {"nothing": np.zeros((0, 2)), "nan": math.nan})
    with RowFile(tmp_path / "rows") as rows:
        found = rows.read("k")
    np.testing.assert_array_equal(found["a"]["curve"], row["a"]["curve"])
    np.testing.assert_array_equal(found["bits"], row["bits"])
    assert found["nothing"].shape == (0, 2) and math.isnan(found["nan"])
    assert row["a"]["curve"].tobytes() in (tmp_path / "rows").read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_item_stops_the_run_with_its_sentence(samples, tmp_path: Path, workers: int):
    with pytest.raises(InputError, match=r"two\.png is broken"):
        list(measure_all(samples, fail_at_two, workers, tmp_path / "out"))


def test_a_worker_that_dies_is_told_in_one_sentence(samples, tmp_path: Path):
    program = (
        "import os, sys; from pathlib import Path; from evaluation.core.runner import *\n"
        "from segdemo.datatypes import InputError\n"
        "if __name__ == '__main__':\n"
        "    samples = [Sample(str(i), (), 1) for i in range(4)]\n"
        "    try: list(measure_all(samples, os._exit, 2, Path(sys.argv[1])))\n"
        "    except InputError as error: print(error)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "fewer --workers" in done.stdout
