"""Rows in order, resumed runs, workers that fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from evaluation.streaming import PARTIAL, Item, Row, measure_all
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
def items(tmp_path: Path) -> list[Item[tuple[Path, int]]]:
    found = []
    for number in range(6):
        file = tmp_path / f"{number}.txt"
        file.write_text("x" * (number + 1))
        found.append(Item(str(number), (file,), (file, number)))
    return found


def measured(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def test_any_number_of_workers_gives_the_same_rows_in_order(items, tmp_path: Path):
    one = list(measure_all(items, third, 1, tmp_path / "one"))
    two = list(measure_all(items, third, 2, tmp_path / "two"))
    assert one == two
    assert [row["name"] for row in one] == list("012345")


def test_a_run_that_stopped_goes_on_where_it_was(items, tmp_path: Path):
    out, log = tmp_path / "out", tmp_path / "log"
    rows = measure_all(items, partial(third, calls=log), 1, out)
    first = [next(rows), next(rows)]
    rows.close()
    with (out / PARTIAL).open("a") as file:
        file.write('{"key": "cut o')  # as a kill leaves it
    every = list(measure_all(items, partial(third, calls=log), 1, out))
    assert every[:2] == first
    assert measured(log) == [0, 1, 2, 3, 4, 5]
    assert list(measure_all(items, partial(third, calls=log), 1, out)) == every
    assert len(measured(log)) == 6


def test_changed_bytes_are_measured_again_even_at_the_same_size_and_time(items, tmp_path: Path):
    out, log = tmp_path / "out", tmp_path / "log"
    list(measure_all(items, partial(third, calls=log), 1, out))
    items[3].files[0].write_text("yyyy")
    list(measure_all(items, partial(third, calls=log), 1, out))
    assert measured(log)[6:] == [3]


def test_other_settings_take_nothing_over(items, tmp_path: Path):
    out, log = tmp_path / "out", tmp_path / "log"
    list(measure_all(items, partial(third, calls=log), 1, out, settings="a"))
    list(measure_all(items, partial(third, calls=log), 1, out, settings="b"))
    assert len(measured(log)) == 12


def test_rows_are_on_disk_before_the_run_ends(items, tmp_path: Path):
    rows = measure_all(items, third, 1, tmp_path / "out")
    next(rows)
    lines = (tmp_path / "out" / PARTIAL).read_text().splitlines()
    assert [json.loads(line)["row"]["name"] for line in lines] == ["0"]
    rows.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_item_stops_the_run_with_its_sentence(items, tmp_path: Path, workers: int):
    with pytest.raises(InputError, match=r"two\.png is broken"):
        list(measure_all(items, fail_at_two, workers, tmp_path / "out"))


def test_a_worker_that_dies_is_told_in_one_sentence(items, tmp_path: Path):
    program = (
        "import os, sys; from pathlib import Path; from evaluation.streaming import *\n"
        "from segdemo.datatypes import InputError\n"
        "if __name__ == '__main__':\n"
        "    items = [Item(str(i), (), 1) for i in range(4)]\n"
        "    try: list(measure_all(items, os._exit, 2, Path(sys.argv[1])))\n"
        "    except InputError as error: print(error)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "fewer --workers" in done.stdout
