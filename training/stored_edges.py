"""The file that stage 1 of DiffEGG writes for each image, and that stage 2 trains on."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError, PseudoEdge
from segdemo.diffegg.pseudo_edge import split_score
from segdemo.files import atomic_write

TRUTH = "truth"
"""The rule of a file that holds true edges, of people's annotations, in place of pseudo-edges."""


@dataclass(frozen=True, eq=False)
class StoredEdge:
    """One image's result; its fields are the arrays of the file.

    score: (h, w) float16 >= 0, EdgeKL at the resolution of the attention maps. timestep: its noise
    level. timesteps: (N,) those run, falling. gaps: (N - 1,) nats between them. peak_timestep:
    PeakKL's choice among them, used or not; flat: no gap was above zero. lower, upper, rule,
    guarded: see `PseudoEdge`; the thresholds were measured before rounding to float16. size: side
    in pixels that the image was squashed to. picture_size: its own (height, width).
    """

    score: npt.NDArray[np.float16]
    timestep: int
    timesteps: tuple[int, ...]
    gaps: tuple[float, ...]
    peak_timestep: int
    flat: bool
    lower: float
    upper: float
    rule: str
    guarded: bool
    size: int
    picture_size: tuple[int, int]

    @property
    def pseudo_edge(self) -> PseudoEdge:
        """Edge, interior and uncertain cells."""
        score = self.score.astype(np.float32)
        return split_score(score, self.lower, self.upper, self.rule, self.guarded)


def write_edge(edge: StoredEdge, path: Path) -> None:
    """Write a result, whole or not at all; folders are made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(edge).items()}
        np.savez_compressed(stream, **arrays)


def read_edge(path: Path) -> StoredEdge:
    """Read a result; raises InputError for a file that is missing, damaged or something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in StoredEdge.__dataclass_fields__}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} is not a result of training.pseudo_edges, or damaged: delete it and run that "
            "again."
        ) from error
    score = values.pop("score")
    plain: dict[str, Any] = {
        name: tuple(value.tolist()) if value.ndim else value.item()
        for name, value in values.items()
    }
    return StoredEdge(score, **plain)
