"""Which pictures and which randomness a step has: functions of its number, so a resume is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Draw:
    """One batch of one process, counted through the whole run.

    step: the optimiser's step. part: which of the batches whose gradients a step adds up. process:
    who computes it. index: all batches of all processes, counted. seed: the run's.
    """

    step: int
    part: int
    process: int
    index: int
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """A generator of this batch's own; each access begins it anew."""
        return np.random.default_rng([self.seed, self.index])

    @property
    def torch_seed(self) -> int:
        """A seed for PyTorch's own generators."""
        return int(np.random.default_rng([self.seed, self.index, 1]).integers(2**62))

    def items(self, count: int, batch_size: int) -> npt.NDArray[np.int64]:
        """Choose `batch_size` of `count` items: each once before any comes again, order drawn."""
        places = self.index * batch_size + np.arange(batch_size)
        epochs, places = np.divmod(places, count)
        orders = {
            int(epoch): np.random.default_rng([self.seed, int(epoch), 2]).permutation(count)
            for epoch in np.unique(epochs)
        }
        return np.array([orders[int(e)][p] for e, p in zip(epochs, places, strict=True)], np.int64)


def draws(start: int, parts: int, process: int, processes: int, seed: int) -> Iterator[Draw]:
    """Yield a process's draws from a step on, without end."""
    step = start
    while True:
        for part in range(parts):
            index = (step * parts + part) * processes + process
            yield Draw(step, part, process, index, seed)
        step += 1


class _Batches(Dataset, Generic[Batch]):
    """Lets workers of a DataLoader make batches, which depend on the draw alone."""

    def __init__(self, make: Callable[[Draw], Batch]) -> None:
        self._make = make

    def __getitem__(self, draw: Draw) -> tuple[Draw, Batch]:
        return draw, self._make(draw)


def batches(
    make: Callable[[Draw], Batch], wanted: Iterable[Draw], workers: int
) -> Iterator[tuple[Draw, Batch]]:
    """Make a batch for each draw, ahead of time in `workers` processes; 0: here, when asked."""
    if not workers:
        for draw in wanted:
            yield draw, make(draw)
        return
    yield from DataLoader(
        _Batches(make),
        sampler=wanted,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
