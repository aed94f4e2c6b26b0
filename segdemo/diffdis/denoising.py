"""The denoising paradigms of DiffDIS' Table 4, in its notation: steps in training / steps at test.

An asterisk means that the timestep is not fixed during training. No torch, so that settings can be
checked before anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segdemo.datatypes import InputError

LAST_TIMESTEP = 999
TIMESTEPS = LAST_TIMESTEP + 1
ONE_STEP = "1/1"
PARADIGMS = (ONE_STEP, "1*/2", "2/2", "1*/10")
"""What the paper compares."""

_GRID = re.compile(r"1\*/(\d{1,4})-grid")


@dataclass(frozen=True)
class Denoising:
    """A paradigm.

    test: timesteps at test, descending. training: sequences of timesteps, of which each batch in
    training draws one; more than one timestep in a sequence are unrolled, with gradients through
    all of them.
    """

    test: tuple[int, ...]
    training: tuple[tuple[int, ...], ...]

    def draw(self, rng: np.random.Generator) -> tuple[int, ...]:
        """Draw the timesteps of a training batch."""
        return self.training[int(rng.choice(len(self.training)))]


def find_denoising(name: str) -> Denoising:
    """Return the paradigm of a name; raises InputError.

    1/1: timestep 999. 1*/2: 999 or 499 in training, both at test. 2/2: both, unrolled. 1*/10: any
    of 0 to 999 in training, ten at test. 1*/N-grid, which the paper does not have: one of the N
    test timesteps in training, as earlier versions did for every N.
    """
    if grid := _GRID.fullmatch(name):
        if 1 <= int(grid[1]) <= TIMESTEPS:
            test = spaced_timesteps(int(grid[1]))
            return Denoising(test, _single(test))
    elif name in PARADIGMS:
        test = spaced_timesteps(int(name.split("/")[1]))
        training = {
            "1/1": (test,),
            "1*/2": _single(test),
            "2/2": (test,),
            "1*/10": _single(tuple(range(TIMESTEPS))),
        }
        return Denoising(test, training[name])
    raise InputError(f"denoising {name!r}: choose one of {', '.join(PARADIGMS)}.")


def spaced_timesteps(steps: int) -> tuple[int, ...]:
    """Return evenly spaced timesteps, descending: 1 gives 999, 2 give 999 and 499."""
    return tuple(round(TIMESTEPS * (steps - k) / steps) - 1 for k in range(steps))


def renamed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings, or a network's config, with the present name of the paradigm.

    Earlier versions stored a number, `denoising_steps`, and drew one of that many timesteps.
    """
    kept = dict(stored)
    steps = kept.pop("denoising_steps", None)
    if steps is not None:
        kept["denoising"] = {1: ONE_STEP, 2: "1*/2"}.get(steps, f"1*/{steps}-grid")
    return kept


def _single(timesteps: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple((timestep,) for timestep in timesteps)
