"""Scenes on disk: composing one costs more than a training step on it, so it is done once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from segdemo.datatypes import InputError
from training.progress import is_complete, items_done, note_progress
from training.small.scenes.compose import compose_scene
from training.small.scenes.material import Material, MaterialFiles

CHUNK = 256  # scenes a worker composes at a time, and the unit of resuming


@dataclass(frozen=True, eq=False)
class SceneStore:
    """Memory-mapped scenes. images: (N, S, S, 3), masks and instances: (N, S, S), all uint8."""

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """Count the scenes."""
        return len(self.images)

    def head(self, count: int) -> SceneStore:
        """Return the first `count` scenes; the same ones that a smaller store would hold."""
        return SceneStore(self.images[:count], self.masks[:count], self.instances[:count])

    @staticmethod
    def open(folder: Path) -> SceneStore:
        """Open the scenes that `compose_store` wrote; InputError when unfinished."""
        if not is_complete(folder):
            raise InputError(f"{folder} holds no complete scenes: run the scenes stage first.")
        names = ("images", "masks", "instances")
        return SceneStore(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))


def compose_store(
    files: MaterialFiles, folder: Path, count: int, size: int, seed: int, workers: int
) -> None:
    """Compose `count` scenes into `folder`; a killed run goes on where it stopped.

    Raises InputError where there is nothing to compose of.
    """
    global _material
    done = items_done(folder)
    if done < count:
        _material = Material(files)  # before the workers are forked: they share it
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {"images": (count, size, size, 3), "masks": (count, size, size)}
    shapes["instances"] = shapes["masks"]
    mode = "r+" if done else "w+"
    arrays = {
        name: open_memmap(folder / f"{name}.npy", mode, np.uint8, shape)
        for name, shape in shapes.items()
    }
    starts = range(done, count, CHUNK)
    tasks = [(seed, start, min(start + CHUNK, count), size) for start in starts]
    with ProcessPoolExecutor(workers, get_context("fork"), _end_with_parent) as pool:
        for (_, start, end, _), scenes in zip(tasks, pool.map(_compose_chunk, tasks), strict=True):
            for name, array in zip(shapes, scenes, strict=True):
                arrays[name][start:end] = array
            note_progress(folder, end, count)
    _material = None


_material: Material | None = None  # while scenes are composed


def _end_with_parent() -> None:
    """Let this worker end when its parent is killed, whose lock it would keep."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _compose_chunk(task: tuple[int, int, int, int]) -> tuple[npt.NDArray[np.uint8], ...]:
    seed, start, end, size = task
    assert _material is not None
    scenes = [
        compose_scene(_material, size, np.random.default_rng([seed, index]))
        for index in range(start, end)
    ]
    return (
        np.stack([scene.image for scene in scenes]),
        np.stack([scene.mask for scene in scenes]),
        np.stack([scene.instances for scene in scenes]),
    )
