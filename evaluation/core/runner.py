"""Measure many samples one after another or in processes; a killed run resumes where it stopped.

Each finished row is appended to `PARTIAL` in the output folder at once, under a hash of the
sample's files, the settings and the versions of the libraries: no other row is ever reused.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from tqdm import tqdm

from evaluation.core.row_file import Row, RowFile
from evaluation.report.provenance import versions
from segdemo.datatypes import InputError
from segdemo.regular_files import read_regular

PARTIAL = "per_image.partial"
QUEUE_LENGTH = 4  # samples handed out per worker: none waits, no more than these are in memory
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}

Payload = TypeVar("Payload")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample(Generic[Payload]):
    """One thing to measure. payload: what the function is given; must survive pickling.

    name: the row's name. files: what the row is computed from; a change of their bytes makes the
    row be measured again.
    """

    name: str
    files: tuple[Path, ...]
    payload: Payload


class Workers:
    """Processes of one thread each that several passes share; use it in `with`.

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

    def map_unordered(
        self, function: Callable[[Payload], Result], payloads: Iterable[tuple[int, Payload]]
    ) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) as they become ready. Raises InputError when a worker dies."""
        if self.count == 1:
            for index, payload in payloads:
                yield index, function(payload)
            return
        waiting = deque(payloads)
        running: dict[Future[Result], int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.count * QUEUE_LENGTH:
                    index, payload = waiting.popleft()
                    running[self._processes().submit(function, payload)] = index
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "A worker process died, most likely because memory ran out: start again with "
                "fewer --workers; what was measured is kept."
            ) from error

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"))
        return self._pool


def measure_all(
    samples: Sequence[Sample[Payload]],
    function: Callable[[Payload], Row],
    workers: int | Workers,
    output_dir: Path,
    settings: object = None,
    hashes: Sequence[str] | None = None,
) -> Iterator[Row]:
    """Yield `function(sample.payload)` of each sample, in their order, with `name` in front.

    function: deterministic, at a module's top level (or a `partial` of one); with more than one
    worker it runs in spawned processes of one thread each, otherwise here. workers: how many, or
    processes to share. settings: everything else the rows depend on, a partial's arguments too; its
    repr must tell. hashes: of the samples' files, where they are known (see `hash_files`).
    Rows pass through a `RowFile`, so they are the same whether measured now, in another process or
    in an earlier run. Raises InputError when a worker dies; what was measured until then stays.
    """
    if isinstance(workers, int):
        with Workers(workers) as own:
            yield from measure_all(samples, function, own, output_dir, settings, hashes)
        return
    name = getattr(getattr(function, "func", function), "__qualname__", "")
    shared = repr((name, settings, sorted(versions().items())))
    hashes = hashes or [hash_files(sample.files) for sample in samples]
    keys = [
        hashlib.blake2b(repr((sample.name, files, shared)).encode(), digest_size=16).hexdigest()
        for sample, files in zip(samples, hashes, strict=True)
    ]
    output_dir.mkdir(parents=True, exist_ok=True)
    with (
        RowFile(output_dir / PARTIAL) as rows,
        tqdm(total=len(samples), unit="image", file=sys.stderr) as progress,
    ):
        todo = [(i, samples[i].payload) for i, key in enumerate(keys) if key not in rows]
        progress.update(len(samples) - len(todo))
        measured = workers.map_unordered(function, todo)
        for key in keys:
            while key not in rows:
                index, row = next(measured)
                rows.append(keys[index], {"name": samples[index].name} | row)
                progress.update()
            yield rows.read(key)


def hash_files(files: Iterable[Path]) -> str:
    """Return a hash of the bytes of files; raises InputError."""
    return hash_contents(map(read_bytes, files))


def hash_contents(contents: Iterable[bytes]) -> str:
    """Return a hash of the contents of files."""
    each = [hashlib.blake2b(content).hexdigest() for content in contents]
    return hashlib.blake2b(repr(each).encode()).hexdigest()


def read_bytes(file: Path) -> bytes:
    """Read a file; raises InputError."""
    try:
        return read_regular(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
