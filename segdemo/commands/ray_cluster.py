"""The other engine of bulk work: Ray Data's actors, on this machine or on many.

Ray is an optional package. An actor holds what a worker process holds, and is given what that one
is given: a `Load` and images.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segdemo.batch import FileStatus, Handler, process_images
from segdemo.commands.progress import FailFastError
from segdemo.commands.workers import Load
from segdemo.datatypes import InputError
from segdemo.files import ImageFile

READER_SHARE = 0.5
"""Processors that an actor without a GPU asks for: as many are left for what reads ahead of it."""

Batch = Mapping[str, Any]
Mapper = Callable[[], Callable[[Batch], list[Any]]]
"""Loads once an actor and returns what is done to a batch: column -> values of its rows."""


@dataclass(frozen=True)
class RayCluster:
    """Actors of a Ray cluster; an engine for `folder_run` and `mask_run`.

    address: of the cluster; "auto" takes RAY_ADDRESS, a cluster that runs on this machine, or
    starts one here. actors: how many models work at a time. gpus: of each, may be a fraction.
    batch_size: images that are handed out, and repeated where an actor dies, together.
    """

    address: str = "auto"
    actors: int = 1
    gpus: float = 0.0
    batch_size: int = 4

    def map_images(self, image_files: Sequence[ImageFile], load: Load) -> Iterator[FileStatus]:
        """Yield the images' outcomes in their order; see `workers.Processes.map_images`.

        Photos and results are files: every machine must see them under the same paths.
        """
        if not image_files:
            return
        data = self.data()
        rows = data.from_items(
            [{"item": pickle.dumps(one)} for one in image_files],
            override_num_blocks=-(-len(image_files) // self.batch_size),
        )
        yield from self.map_rows(rows, ImageMapper(load))

    def map_rows(self, rows: Any, mapper: Mapper) -> Iterator[Any]:
        """Yield what a mapper makes of a dataset's rows, in their order.

        Dead actors are started again and their batch is repeated. Raises what loading raises, and
        InputError where Ray gives up.
        """
        import ray

        made = rows.map_batches(
            RayActor,
            batch_size=self.batch_size,
            fn_constructor_args=(mapper,),
            compute=ray.data.ActorPoolStrategy(size=self.actors),
            num_gpus=self.gpus or None,
            num_cpus=READER_SHARE,
            zero_copy_batch=True,
        )
        try:
            for row in made.iter_rows():
                outcome = pickle.loads(row["outcome"])
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
        except ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(
                f"Ray gave up ({first[:200]}): see its log, and give the same command again; what "
                "is finished is kept."
            ) from error

    def data(self) -> Any:
        """Join the cluster; returns `ray.data`, which yields rows in order. Raises InputError."""
        connect(self.address)
        import ray

        ray.data.DataContext.get_current().execution_options.preserve_order = True
        return ray.data


def connect(address: str) -> None:
    """Join a cluster, or start one here; raises InputError without the package or the cluster."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError("--ray needs the package Ray: pip install 'segdemo[ray]'.") from error
    if ray.is_initialized():
        return
    try:
        # without an address Ray takes RAY_ADDRESS, a running cluster, or starts one
        ray.init(
            address=None if address == "auto" else address,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(
            f"No Ray cluster at {address} ({first[:200]}): start one by `ray start --head`, or "
            "give --ray without an address to start one here."
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one of our own


class RayActor:
    """What Ray Data calls with batches; loads at the first one, so that an error can be told."""

    def __init__(self, mapper: Mapper) -> None:
        """Keep what loads."""
        self._mapper = mapper
        self._work: Callable[[Batch], list[Any]] | None = None

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Return a row each: an outcome, or the error that ends the run; pickled."""
        try:
            if self._work is None:
                self._work = self._mapper()
            outcomes = self._work(batch)
        except (InputError, FailFastError) as error:
            outcomes = [error]
        packed = np.empty(len(outcomes), object)
        packed[:] = [pickle.dumps(one) for one in outcomes]
        return {"outcome": packed}


@dataclass(frozen=True)
class ImageMapper:
    """Processes images that are files; a `Mapper` of pickled `ImageFile`."""

    load: Load

    def __call__(self) -> Callable[[Batch], list[FileStatus]]:
        """Load the handler; raises InputError."""
        handler: Handler = self.load()

        def process(batch: Batch) -> list[FileStatus]:
            return list(process_images(map(pickle.loads, batch["item"]), handler))

        return process
