"""One function over many images: here, in processes that share nothing but files, or elsewhere."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from segdemo.batch import FileStatus, Handler, process_images
from segdemo.datatypes import InputError
from segdemo.files import ImageFile

QUEUE_LENGTH = 3  # images handed out per worker: none waits for the next
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Load = Callable[[], Handler]
"""Loads what a worker needs, once, and returns what it does to each image; raises InputError.

With several workers it must survive pickling: an object of a class, or a `partial`, at a module's
top level. Whatever runs it elsewhere needs no more than this and the images.
"""


class Engine(Protocol):
    """Where images are processed."""

    def map_images(self, image_files: Sequence[ImageFile], load: Load) -> Iterator[FileStatus]:
        """Process images; yields their outcomes in order. Raises what `load` raises."""


@dataclass(frozen=True)
class Processes:
    """So many processes of this machine; 1: this process itself."""

    count: int

    def map_images(self, image_files: Sequence[ImageFile], load: Load) -> Iterator[FileStatus]:
        """See `Engine`; raises InputError where a process dies."""
        workers = min(self.count, len(image_files))
        if workers <= 1:
            if image_files:
                yield from process_images(image_files, load())
            return
        with _threads_divided(workers):
            pool = ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), _start, initargs=(load,)
            )
            try:
                yield from _in_order(pool, image_files, workers * QUEUE_LENGTH)
            except BrokenProcessPool as error:
                raise InputError(
                    "A worker died, most likely because memory ran out: start again with fewer "
                    "--workers; what is finished is kept."
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, image_files: Sequence[ImageFile], ahead: int
) -> Iterator[FileStatus]:
    running: deque[Future[FileStatus]] = deque()
    for image_file in image_files:
        running.append(pool.submit(_process, image_file))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


@contextmanager
def _threads_divided(workers: int) -> Iterator[None]:
    """Let each process that is started have its share of the processors' threads."""
    before = {name: os.environ.get(name) for name in THREADS}
    share = max(1, (os.cpu_count() or 1) // workers)
    os.environ.update({name: before[name] or str(share) for name in THREADS})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


_load: Load
_handler: Handler | None = None


def _start(load: Load) -> None:
    """Begin a worker: it ends with the process that started it, which alone hears Ctrl+C."""
    global _load
    _load = load
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _process(image_file: ImageFile) -> FileStatus:
    global _handler
    if _handler is None:
        _handler = _load()
    (status,) = process_images([image_file], _handler)
    return status
