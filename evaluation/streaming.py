"""Measure many items one after another or in processes; a killed run goes on where it stopped.

Each finished row is written to `PARTIAL` in the output folder at once, under a digest of the
item's files, the settings and the versions of the libraries: nothing else is ever taken over.
`write_report` removes the file when the results are on disk.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, Self, TypeVar

from tqdm import tqdm

from evaluation.versions import versions
from segdemo.datatypes import InputError

PARTIAL = "per_image.partial.jsonl"
AHEAD = 4  # items handed out per worker: none waits, and no more than these are in memory
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}

Row = dict[str, Any]
Payload = TypeVar("Payload")


@dataclass(frozen=True)
class Item(Generic[Payload]):
    """One thing to measure. payload: what the function is given; must survive pickling.

    name: the row's name. files: what the row is computed from; a change of their bytes makes the
    row be measured again.
    """

    name: str
    files: tuple[Path, ...]
    payload: Payload


class Workers:
    """Processes of one thread each that several calls of `measure_all` share; use it in `with`.

    They are spawned when first needed, and each takes a second to import what it measures with.
    """

    def __init__(self, count: int) -> None:
        """count: how many; with 1 everything is measured in this process."""
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        """Let processes inherit `ONE_THREAD`."""
        if self.count > 1:
            self._before = {name: os.environ.get(name) for name in ONE_THREAD}
            os.environ.update(ONE_THREAD)
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes and leave the environment as it was."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def pool(self) -> ProcessPoolExecutor:
        """Return the processes."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"))
        return self._pool


def measure_all(
    items: Sequence[Item[Payload]],
    function: Callable[[Payload], Row],
    workers: int | Workers,
    output_dir: Path,
    settings: object = None,
) -> Iterator[Row]:
    """Yield `function(item.payload)` of each item, in their order, with `name` in front.

    function: of a module's top level (or a `partial` of one), free of chance, returning what JSON
    holds; with more than one worker it runs in spawned processes of one thread each, otherwise
    here. workers: how many, or processes to share.
    settings: everything else the rows depend on, a partial's arguments too; its repr must tell.
    Rows pass through JSON, so they are the same whether measured now, elsewhere or in an earlier
    run. Raises InputError when a worker dies; what was measured until then stays on disk.
    """
    if isinstance(workers, int):
        with Workers(workers) as own:
            yield from measure_all(items, function, own, output_dir, settings)
        return
    output_dir.mkdir(parents=True, exist_ok=True)
    path = output_dir / PARTIAL
    known = _offsets(path)
    name = getattr(getattr(function, "func", function), "__qualname__", "")
    shared = repr((name, settings, sorted(versions().items())))
    keys = [item_digest(item, shared) for item in items]
    todo = [index for index, key in enumerate(keys) if key not in known]
    with path.open("a+b") as partial, tqdm(total=len(items), file=sys.stderr) as bar:
        _end_last_line(partial)
        bar.update(len(items) - len(todo))

        def keep(index: int, row: Row) -> None:
            known[keys[index]] = partial.seek(0, os.SEEK_END)
            line = {"key": keys[index], "row": {"name": items[index].name} | row}
            partial.write(json.dumps(line).encode() + b"\n")
            partial.flush()
            bar.update()

        measured = _measured([(i, items[i].payload) for i in todo], function, workers, keep)
        for key in keys:
            while key not in known:
                next(measured)
            partial.seek(known[key])
            yield json.loads(partial.readline())["row"]


def item_digest(item: Item[Any], shared: str) -> str:
    """Return a number that changes with an item's name, its files' bytes and `shared`."""
    digest = hashlib.blake2b(repr((item.name, shared)).encode(), digest_size=16)
    for file in item.files:
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "blake2b").digest())
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def _offsets(path: Path) -> dict[str, int]:
    """Return where each row of an earlier run begins; a line cut off by a kill does not count."""
    found: dict[str, int] = {}
    if not path.exists():
        return found
    with path.open("rb") as partial:
        while line := partial.readline():
            try:
                found[json.loads(line)["key"]] = partial.tell() - len(line)
            except (ValueError, KeyError, TypeError):
                continue
    return found


def _end_last_line(partial: BinaryIO) -> None:
    end = partial.seek(0, os.SEEK_END)
    if end:
        partial.seek(end - 1)
        if partial.read(1) != b"\n":
            partial.write(b"\n")


def _measured(
    todo: Sequence[tuple[int, Payload]],
    function: Callable[[Payload], Row],
    workers: Workers,
    keep: Callable[[int, Row], None],
) -> Iterator[None]:
    """Measure and keep one item a step, or as many as became ready together."""
    if workers.count == 1 or len(todo) < 2:
        for index, payload in todo:
            keep(index, function(payload))
            yield
        return
    waiting = deque(todo)
    running: dict[Future[Row], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers.count * AHEAD:
                index, payload = waiting.popleft()
                running[workers.pool().submit(function, payload)] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                keep(running.pop(future), future.result())
            yield
    except BrokenProcessPool as error:
        raise InputError(
            "A worker ended without a word, most likely for want of memory: start again with fewer "
            "--workers; what was measured is kept."
        ) from error
