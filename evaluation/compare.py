"""Compare two results of one measuring program, image by image.

    python -m evaluation.compare results/a results/b --output_dir results/a_b
    python -m evaluation.compare results/a results/b --fail_below maxF=0.90 IoU=0.8

A and B are output folders. Of every measure: the means, the mean difference B - A with its
bootstrap interval over images, Wilcoxon's signed-rank test on the pairs, and how many images
rose or fell. Exit code 1 where a figure of B misses a --fail_below or --fail_above, 2 for wrong
usage.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from evaluation.core.benchmark import exit_status
from evaluation.core.cli import Parser, count
from evaluation.data.validation import FileError, report_errors
from evaluation.report.plots import scatter_figure
from evaluation.report.tables import Report, tables, write_report
from segdemo.annotations.notes import MALFORMED
from segdemo.datatypes import InputError

LEVEL = 0.95
RENAMED = {"pipeline": "rip"}  # programs of earlier results
CHUNK = 2_000_000  # numbers drawn at once

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """A result folder: its figures by name, its rows by image, and everything else it says."""

    folder: Path
    figures: Mapping[str, float | None]
    rows: Mapping[str, Mapping[str, str]]
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """What changed from A to B in one measure over the images that have it in both.

    low, high: the 95 % interval of the mean difference. p: of the pairs' test, 1 if all are equal.
    """

    images: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    rose: int
    fell: int

    def figures(self) -> dict[str, float]:
        """Return the columns of the table."""
        return {
            "A": self.a,
            "B": self.b,
            "B - A": self.difference,
            "low": self.low,
            "high": self.high,
            "p": self.p,
            "rose": self.rose,
            "fell": self.fell,
            "images": self.images,
        }


def read_result(folder: Path) -> Result:
    """Read results.json and per_image.csv; raises InputError."""
    try:
        content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        with (folder / "per_image.csv").open(encoding="utf-8", newline="") as file:
            listed = list(csv.DictReader(file))
        rows = {row["name"]: row for row in listed}
        figures = dict(content["figures"])
        content["program"] = RENAMED.get(content.get("program"), content.get("program"))
    except (OSError, RecursionError, csv.Error, *MALFORMED) as error:
        raise InputError(
            f"{folder} does not hold results.json and per_image.csv of a measuring program: name "
            "its --output_dir."
        ) from error
    if len(rows) != len(listed):
        raise InputError(f"{folder / 'per_image.csv'} names an image twice: measure it again.")
    return Result(folder, figures, rows, content)


def paired(a: Result, b: Result, names: Sequence[str], column: str) -> tuple[Values, Values]:
    """Return a measure's values of the images that have it in both, in the order of `names`."""
    pairs = [(_number(a.rows[n].get(column)), _number(b.rows[n].get(column))) for n in names]
    kept = [pair for pair in pairs if not math.isnan(sum(pair))]
    before, after = np.array(kept, np.float64).reshape(-1, 2).T
    return before, after


def compare(before: Values, after: Values, draws: int, seed: int) -> Difference:
    """Compare paired values; at least one pair."""
    change = after - before
    low, high = bootstrap_interval(change, draws, seed)
    p = float(stats.wilcoxon(change).pvalue) if change.any() else 1.0
    return Difference(
        images=len(change),
        a=float(before.mean()),
        b=float(after.mean()),
        difference=float(change.mean()),
        low=low,
        high=high,
        p=p,
        rose=int((change > 0).sum()),
        fell=int((change < 0).sum()),
    )


def bootstrap_interval(values: Values, draws: int, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean by the percentiles of `draws` resamplings."""
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // len(values))
    means = [
        values[rng.integers(0, len(values), (min(at_once, draws - done), len(values)))].mean(axis=1)
        for done in range(0, draws, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def missed(result: Result, bounds: Mapping[str, float], below: bool) -> list[str]:
    """Return a sentence for each figure beyond its bound, or undefined.

    bounds: a figure's full name (DIS-VD/sod/maxF) or its end (sod/maxF, maxF), which then holds for
    every figure that ends so. Raises InputError for a name that no figure has.
    """
    sentences = []
    for name, bound in bounds.items():
        meant = [full for full in result.figures if f"/{full}".endswith(f"/{name}")]
        if not meant:
            known = ", ".join(sorted({full.rsplit("/", 1)[-1] for full in result.figures}))
            raise InputError(f"{result.folder} has no figure {name}: it has {known}.")
        for full in meant:
            value = result.figures[full]
            if value is None or (value < bound if below else value > bound):
                beyond = "below" if below else "above"
                shown = "undefined" if value is None else value
                sentences.append(f"{full} is {shown}, {beyond} {bound}.")
    return sentences


def run(options: argparse.Namespace) -> int:
    """Compare, report and judge; raises InputError."""
    a, b = read_result(options.a), read_result(options.b)
    notes = _check(a, b, options.allow_missing)
    names = [name for name in a.rows if name in b.rows]
    if not names:
        raise InputError(f"{a.folder} and {b.folder} share no image: compare equal data.")
    columns = options.metrics or _measures(a, b, names)
    pairs = {column: paired(a, b, names, column) for column in columns}
    if absent := [column for column, (before, _) in pairs.items() if not len(before)]:
        raise InputError(f"No image has {', '.join(absent)} in both results: check --metrics.")
    differences = {c: compare(*pair, options.draws, options.seed) for c, pair in pairs.items()}
    report = Report(
        program="compare",
        protocol=f"A = {a.folder}, B = {b.folder}; {a.content.get('protocol')}",
        figures={
            f"{column}/{name}": value
            for column, difference in differences.items()
            for name, value in difference.figures().items()
        },
        per_image=[_changes(a, b, name, columns) for name in names],
        counts={"images in both": len(names)},
        plots={
            column.replace("/", "_"): scatter_figure(*pair, column, (str(a.folder), str(b.folder)))
            for column, pair in (pairs.items() if options.output_dir else ())
        },
        notes=[
            *notes,
            "A, B: plain means over images; a maximum of mean curves is another figure.",
            f"low, high: {LEVEL:.0%} interval of B - A, {options.draws} resamplings. p: Wilcoxon.",
        ],
    )
    if options.output_dir:
        files = [folder / "per_image.csv" for folder in (a.folder, b.folder)]
        write_report(report, options.output_dir, files)
    else:
        print(tables(report), end="")
    return _judge(b, options)


def _changes(a: Result, b: Result, name: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return a row of differences B - A."""
    rows = a.rows[name], b.rows[name]
    before, after = ([_number(row.get(column)) for column in columns] for row in rows)
    return {"name": name} | {c: y - x for c, x, y in zip(columns, before, after, strict=True)}


def _judge(result: Result, options: argparse.Namespace) -> int:
    """Say which bounds B misses; 1 if any, else 0."""
    judged = missed(result, dict(options.fail_below), below=True)
    judged += missed(result, dict(options.fail_above), below=False)
    for sentence in judged:
        print(sentence, file=sys.stderr)
    return 1 if judged else 0


def _check(a: Result, b: Result, allow_missing: bool) -> list[str]:
    """Refuse what cannot be compared, and note what should be known."""
    if a.content.get("program") != b.content.get("program"):
        raise InputError(
            f"{a.folder} is of evaluation.{a.content.get('program')}, {b.folder} of "
            f"evaluation.{b.content.get('program')}: compare results of one program."
        )
    if a.content.get("protocol") != b.content.get("protocol"):
        raise InputError(
            f"{a.folder} is measured as {a.content.get('protocol')}, {b.folder} as "
            f"{b.content.get('protocol')}: measure both alike."
        )
    errors = [
        FileError(name, f"is not in {other.folder}: measure it there too.", optional=True)
        for one, other in ((a, b), (b, a))
        for name in one.rows
        if name not in other.rows
    ]
    notes = report_errors(errors, allow_missing)
    versions = a.content.get("versions", {}), b.content.get("versions", {})
    for name in sorted(set(versions[0]) | set(versions[1])):
        old, new = (listed.get(name, "none") for listed in versions)
        if old != new:
            notes.append(f"{name} differs: {old} in A, {new} in B.")
    return notes


def _measures(a: Result, b: Result, names: Sequence[str]) -> list[str]:
    """Return the columns of numbers in both that changed anywhere, or all if none did."""
    columns = [column for column in a.rows[names[0]] if column != "name"]
    pairs = {column: paired(a, b, names, column) for column in columns}
    numbers = [column for column, (before, _) in pairs.items() if len(before)]
    changed = [column for column in numbers if np.subtract(*pairs[column]).any()]
    return changed or numbers


def _number(text: str | None) -> float:
    """Read a number, NaN for anything else."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _bound(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        if name and equals:
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not of the form maxF=0.90")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    parser.add_argument("a", type=Path, metavar="A", help="results before")
    parser.add_argument("b", type=Path, metavar="B", help="results after")
    parser.add_argument("--output_dir", type=Path, metavar="OUT", help="write tables and plots")
    parser.add_argument("--metrics", nargs="+", default=[], help="columns of per_image.csv")
    for name, word in (("--fail_below", "below"), ("--fail_above", "above")):
        sentence = f"exit code 1 if a figure of B is {word} this"
        parser.add_argument(
            name, type=_bound, nargs="+", default=[], metavar="FIGURE=X", help=sentence
        )
    parser.add_argument("--draws", type=count, default=1000, help="resamplings of the images")
    parser.add_argument("--seed", type=int, default=0, help="of the resamplings")
    parser.add_argument(
        "--allow_missing", action="store_true", help="compare the images that are in both"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; 1 for a missed bound, 2 for wrong usage."""
    options = parse(argv)
    return exit_status(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
