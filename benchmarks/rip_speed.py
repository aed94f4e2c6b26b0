"""What RIP's random walk costs, beside squaring a dense matrix as the reference method does.

    python -m benchmarks.rip_speed --grid 128

Prints seconds of both ways for 20 masks and 256 steps on one edge map, their ratio and the largest
difference of their results; then seconds for repairing 40 masks of 12 megapixels. The dense way
takes minutes and a gigabyte at a grid of 128.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from PIL import Image

from segdemo.boundaries import label_boundaries
from segdemo.rip.refine import refine
from segdemo.rip.transition import apply_power, transition_matrix

STEPS = 256  # eight squarings


def cells(side: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a Voronoi partition of a square, (side, side) labels from 1, and its edges."""
    points = np.random.default_rng(seed).uniform(0, side, (count, 2))
    rows, columns = np.indices((side, side))
    apart = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    labels = 1 + apart.argmin(-1).astype(np.int32)
    return labels, label_boundaries(labels).astype(np.float32)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=int, default=128, help="cells along a side")
    side = parser.parse_args().grid
    labels, edge = cells(side, 20, seed=0)
    edge *= 0.999  # a soft edge: every mask reaches every cell, the hard case
    masks = (labels == np.arange(1, 21)[:, None, None]).reshape(20, -1).T.astype(np.float32)

    start = time.perf_counter()
    transition = transition_matrix(edge, 5.0, 10.0)
    lean = apply_power(transition, np.ascontiguousarray(masks), STEPS)
    lean_seconds = time.perf_counter() - start

    start = time.perf_counter()
    dense = torch.from_numpy(transition.toarray())
    for _ in range(STEPS.bit_length() - 1):
        dense = dense @ dense
    plain = (dense @ torch.from_numpy(masks)).numpy()
    plain_seconds = time.perf_counter() - start

    print(f"grid {side}: dense {plain_seconds:.2f} s, ours {lean_seconds:.3f} s")
    print(f"ratio {plain_seconds / lean_seconds:.0f}, difference {np.abs(lean - plain).max():.1e}")

    large, edge = (
        np.asarray(Image.fromarray(plane).resize((4000, 3000), Image.Resampling.NEAREST))
        for plane in cells(512, 40, seed=1)
    )
    instances = large == np.arange(1, 41)[:, None, None]
    start = time.perf_counter()
    refine(instances, edge)
    print(f"40 masks of 4000 x 3000: {time.perf_counter() - start:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
