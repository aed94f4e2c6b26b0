"""One run a folder: two programs that write to the same one would destroy each other's files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from segdemo.datatypes import InputError

LOCK = ".lock"


@contextmanager
def one_run(folder: Path, part: str = "") -> Iterator[None]:
    """Keep other runs out of a folder, which is created; raises InputError where one is in it.

    The system gives the lock back when the process ends, however it ends. Of several processes of
    one run the first has it. part: of a run whose parts may be under way side by side.
    """
    if int(os.environ.get("RANK", "0")):  # as torch's launchers number the processes
        yield
        return
    lock = FileLock(folder / f"{LOCK}{part and '-'}{part}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"Another run is writing to {folder} now: wait until it has ended, or give another "
            "--output_dir."
        ) from error
    except OSError as error:
        raise InputError(
            f"--output_dir {folder} cannot be written ({error.strerror}): choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
