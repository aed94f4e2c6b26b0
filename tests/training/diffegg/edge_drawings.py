"""Photos of a block on a ground, and the edge scores that a perfect stage 1 would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segdemo.diffegg.pseudo_edge import pseudo_edge
from training.stored_edges import StoredEdge, write_edge

HEIGHT, WIDTH, CELLS = 96, 128, 16


def draw_pictures(folder: Path, count: int = 6) -> tuple[Path, Path]:
    """Write `photos/` and `edges/` with sub-folders of one picture each; returns both."""
    rng = np.random.default_rng(0)
    for number in range(count):
        ground, block = rng.integers(0, 256, (2, 3))
        image = np.broadcast_to(ground, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        top, left = int(rng.integers(2, 7)), int(rng.integers(2, 7))  # cells
        scale = (HEIGHT // CELLS, WIDTH // CELLS)
        rows = slice(top * scale[0], (top + 7) * scale[0])
        columns = slice(left * scale[1], (left + 7) * scale[1])
        image[rows, columns] = block
        photo = folder / "photos" / str(number) / "photo.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(photo)
        score = 0.1 * rng.random((CELLS, CELLS), np.float32)
        score[[top, top + 6], left : left + 7] += 1
        score[top : top + 7, [left, left + 6]] += 1
        write_score(score, folder / "edges" / str(number) / "photo.npz")
    return folder / "photos", folder / "edges"


def write_score(score: np.ndarray, path: Path, rule: str = "paper") -> None:  # type: ignore[type-arg]
    """Write a score (h, w) as stage 1 does."""
    split = pseudo_edge(score, rule)
    edge = StoredEdge(
        score=score.astype(np.float16),
        timestep=99,
        timesteps=(99,),
        gaps=(),
        peak_timestep=99,
        flat=True,
        lower=split.lower,
        upper=split.upper,
        rule=split.rule,
        guarded=split.used_fallback,
        size=HEIGHT,
        picture_size=(HEIGHT, WIDTH),
    )
    write_edge(edge, path)
