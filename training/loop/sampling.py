"""Items and random numbers of a step: functions of its number, so that resuming is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class BatchIndex:
    """The number of one batch of one process in the whole run, and the randomness that follows.

    step: the optimizer's step. part: which of the batches whose gradients a step adds up. process:
    who computes it. index: number among all batches of all processes. seed: the run's.
    """

    step: int
    part: int
    process: int
    index: int
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """A generator of this batch's own; each access returns a new one with the same seed."""
        return np.random.default_rng([self.seed, self.index])

    @property
    def torch_seed(self) -> int:
        """A seed for PyTorch's own generators."""
        return int(np.random.default_rng([self.seed, self.index, 1]).integers(2**62))

    def items(self, count: int, batch_size: int) -> npt.NDArray[np.int64]:
        """Choose `batch_size` of `count` items: a new random order every epoch, without repeats."""
        places = self.index * batch_size + np.arange(batch_size)
        epochs, places = np.divmod(places, count)
        orders = {
            int(epoch): np.random.default_rng([self.seed, int(epoch), 2]).permutation(count)
            for epoch in np.unique(epochs)
        }
        return np.array([orders[int(e)][p] for e, p in zip(epochs, places, strict=True)], np.int64)


def batch_indices(
    first_step: int, accumulation: int, process: int, processes: int, seed: int
) -> Iterator[BatchIndex]:
    """Yield a process's batches from a step on, without end."""
    step = first_step
    while True:
        for part in range(accumulation):
            index = (step * accumulation + part) * processes + process
            yield BatchIndex(step, part, process, index, seed)
        step += 1


class _Batches(Dataset, Generic[Batch]):
    """Lets the workers of a DataLoader make batches."""

    def __init__(self, make: Callable[[BatchIndex], Batch]) -> None:
        self._make = make

    def __getitem__(self, index: BatchIndex) -> tuple[BatchIndex, Batch]:
        return index, self._make(index)


def make_batches(
    make: Callable[[BatchIndex], Batch], indices: Iterable[BatchIndex], workers: int
) -> Iterator[tuple[BatchIndex, Batch]]:
    """Make the batch of each index, ahead of time in `workers` processes; 0: here, when asked."""
    if not workers:
        for index in indices:
            yield index, make(index)
        return
    yield from DataLoader(
        _Batches(make),
        sampler=indices,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn",
    )
