"""Problems in training data, found before anything is trained: listed by file, all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segdemo.datatypes import InputError

SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class DataProblem:
    """What is wrong with a file, and what to do about it."""

    file: Path
    sentence: str

    def __str__(self) -> str:
        """Return one line of a report."""
        return f"{self.file}: {self.sentence}"


def report_problems(problems: Iterable[DataProblem], allow: bool, file: Path) -> list[str]:
    """Write all problems to a file; raises InputError that lists them, unless they are allowed.

    Returns the lines. Beyond the first few, the error refers to the file.
    """
    lines = [str(problem) for problem in problems]
    file.write_text("".join(f"{line}\n" for line in lines))
    if lines and not allow:
        more = len(lines) - SHOWN_PROBLEMS
        shown = lines[:SHOWN_PROBLEMS] + ([f"... and {more} more, see {file}"] if more > 0 else [])
        raise InputError(
            f"The data has {len(lines)} problem(s):\n"
            + "\n".join(shown)
            + "\nRepair them, or give --allow_problems to leave these pairs out."
        )
    return lines
