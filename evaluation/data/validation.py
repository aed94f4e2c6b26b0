"""What is wrong with files, reported in one table before anything is measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from segdemo.datatypes import InputError


@dataclass(frozen=True)
class FileError:
    """One thing wrong with one file.

    file: as the user knows it. message: what is wrong and the way out. optional: the rest can be
    measured without this file if the user allows it (missing or extra, never broken).
    """

    file: str
    message: str
    optional: bool = False


def error_table(errors: Sequence[FileError]) -> str:
    """Lay out all errors in two columns, file and message, in the order given."""
    width = max(map(len, ("file", *(error.file for error in errors))))
    lines = [("file", "problem"), *((error.file, error.message) for error in errors)]
    return "\n".join(f"{file:<{width}}  {message}" for file, message in lines)


def report_errors(errors: Sequence[FileError], allow_missing: bool) -> list[str]:
    """Print the table to stderr; raise InputError unless the user allows what it holds.

    Returns the notes that the report owes its readers: which files were left out.
    """
    if not errors:
        return []
    print(error_table(errors), file=sys.stderr)
    broken = sum(not error.optional for error in errors)
    if broken or not allow_missing:
        missing = len(errors) - broken
        way_out = "fix them" if broken else "fix them, or give --allow_missing to go on without"
        raise InputError(
            f"{len(errors)} problems ({missing} missing or extra, {broken} broken): {way_out}."
        )
    return [f"left out: {error.file}: {error.message}" for error in errors]
