"""What the measuring programs share: collect, check, measure, resume, report.

A program says where its samples are, how one is measured and what all rows amount to (`Benchmark`);
`run` does the rest.
"""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from evaluation.core.row_file import Row
from evaluation.core.runner import (
    PARTIAL,
    Sample,
    Workers,
    hash_contents,
    hash_files,
    measure_all,
    read_bytes,
)
from evaluation.data.validation import FileError, report_errors
from evaluation.report.tables import Report, write_report
from segdemo.datatypes import InputError
from segdemo.regular_files import real_path
from segdemo.terminal import print_any_text

Payload = TypeVar("Payload")
Contents = Mapping[Path, bytes]

IRRELEVANT = ("output_dir", "workers", "panels", "allow_missing")
"""Options that no row depends on: a killed run may resume with others."""


@dataclass(frozen=True, kw_only=True)
class Benchmark(ABC, Generic[Payload]):
    """The samples of one program, found and ready to be measured; subclasses report on the rows.

    measure: payload -> row; a module's function or a `partial` of one, may raise InputError, which
    names what is wrong with the sample. check: looks at a sample's files before anything is
    measured and returns what is wrong with them. errors, notes: what was noticed while samples were
    collected. files: what was read for all samples together.
    """

    program: ClassVar[str]

    samples: Sequence[Sample[Payload]]
    measure: Callable[[Payload], Row]
    check: Callable[[Payload, Contents], list[FileError]] | None = None
    errors: Sequence[FileError] = ()
    notes: Sequence[str] = ()
    files: Sequence[Path] = ()

    @abstractmethod
    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Summarize the rows, in the order of the samples; notes: what stands in front of its own.

        Rows come one by one: what need not be kept of them does not fill the memory.
        """


def run(
    collect: Callable[[argparse.Namespace], Benchmark[Any]], options: argparse.Namespace
) -> int:
    """Collect, check, measure, resume and report; raises InputError.

    options: with `output_dir`, `workers`, `panels` and `allow_missing`. Each sample's files are
    opened once to be checked and hashed, and once more where the sample is not yet measured.
    """
    folders = [value for value in vars(options).values() if isinstance(value, Path)]
    check_output(options.output_dir, *(f for f in folders if f != options.output_dir))
    benchmark = collect(options)
    samples = benchmark.samples
    relevant = {name: value for name, value in vars(options).items() if name not in IRRELEVANT}
    with Workers(options.workers) as workers:
        errors, hashes = _check(benchmark, workers)
        notes = report_errors([*benchmark.errors, *errors], options.allow_missing)
        if not samples:
            raise InputError(
                "There is nothing to measure: no image has all the files that are needed; check "
                "the folders and the names."
            )
        settings = (benchmark.program, relevant, hash_files(benchmark.files))
        measure = partial(row_or_error, measure=benchmark.measure)
        rows = measure_all(samples, measure, workers, options.output_dir, settings, hashes)
        report = benchmark.report(_without_errors(rows), [*notes, *benchmark.notes])
    files = [*benchmark.files, *(file for sample in samples for file in sample.files)]
    write_report(report, options.output_dir, files, options.panels)
    (options.output_dir / PARTIAL).unlink(missing_ok=True)  # all rows are in per_image.csv now
    return 0


def exit_status(work: Callable[[], int]) -> int:
    """Run a program's work; 2, with one sentence, for wrong usage and problems with files."""
    print_any_text()
    try:
        return work()
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def check_output(output_dir: Path, *data: Path) -> None:
    """Refuse to write results into a folder of the data; raises InputError."""
    for folder in data:
        if real_path(output_dir).is_relative_to(real_path(folder)):
            raise InputError(f"{output_dir} lies in {folder}: write the results outside the data.")


def row_or_error(payload: Payload, measure: Callable[[Payload], Row]) -> Row:
    """Measure; what is wrong with the sample's files is under `error`."""
    try:
        return measure(payload)
    except InputError as error:
        return {"error": str(error)}


def check_sample(
    sample: Sample[Payload], check: Callable[[Payload, Contents], list[FileError]] | None
) -> tuple[str, list[FileError]]:
    """Read a sample's files once; return their hash and what is wrong with them."""
    contents = {file: read_bytes(file) for file in sample.files}
    return hash_contents(contents.values()), check(sample.payload, contents) if check else []


def _check(benchmark: Benchmark[Any], workers: Workers) -> tuple[list[FileError], list[str]]:
    """Return what is wrong with all files, and the hash of each sample's, in their order."""
    function = partial(check_sample, check=benchmark.check)
    found = dict(workers.map_unordered(function, enumerate(benchmark.samples)))
    ordered = [found[index] for index in range(len(benchmark.samples))]
    return [error for _, errors in ordered for error in errors], [one for one, _ in ordered]


def _without_errors(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows that were measured; raises InputError at the end where files were wrong."""
    errors = []
    for row in rows:
        if "error" in row:
            errors.append(FileError(row["name"], row["error"]))
        else:
            yield row
    report_errors(errors, allow_missing=False)
