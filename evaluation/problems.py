"""What a validation pass found, told in one table before anything is measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from segdemo.datatypes import InputError


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file.

    file: as the user knows it. sentence: what is wrong and the way out. may_lack: the rest can be
    measured without this file if the user allows it (missing or extra, never broken).
    """

    file: str
    sentence: str
    may_lack: bool = False


def problem_table(problems: Sequence[Problem]) -> str:
    """Lay out all problems in two columns, file and sentence, in the order given."""
    width = max(map(len, ("file", *(problem.file for problem in problems))))
    rows = [("file", "problem"), *((problem.file, problem.sentence) for problem in problems)]
    return "\n".join(f"{file:<{width}}  {sentence}" for file, sentence in rows)


def settle(problems: Sequence[Problem], allow_missing: bool) -> list[str]:
    """Print the table to stderr; raise InputError unless the user allows what it holds.

    Returns the notes that the report owes its readers: which files were left out.
    """
    if not problems:
        return []
    print(problem_table(problems), file=sys.stderr)
    broken = sum(not problem.may_lack for problem in problems)
    if broken or not allow_missing:
        lacking = len(problems) - broken
        way_out = "mend them" if broken else "mend them, or give --allow_missing to go on without"
        raise InputError(
            f"{len(problems)} problems ({lacking} missing or extra, {broken} broken): {way_out}."
        )
    return [f"left out: {problem.file}: {problem.sentence}" for problem in problems]
