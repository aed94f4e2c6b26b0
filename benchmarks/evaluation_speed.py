"""Speed and memory of `evaluation.dis` on drawn pictures: one worker against more.

    python -m benchmarks.evaluation_speed --count 40 --side 1024

Prints seconds per picture and the gain of more workers, with their start and once all of them run
(a long run is close to the second), milliseconds of the weighted F beside PySODMetrics', and the
largest memory of runs of `count` and three times `count` small pictures. On a busy machine the gain
is smaller: the load average is printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from py_sod_metrics import WeightedFmeasure

from evaluation.dis import measure_files
from evaluation.dis_files import Pair
from evaluation.streaming import Item, measure_all
from evaluation.weighted_f import weighted_f

SMALL = 256  # side of the pictures that show whether memory grows


def draw_pairs(folder: Path, count: int, side: int) -> list[Item[Pair]]:
    """Write `count` masks of blobs and soft predictions of them."""
    rng = np.random.default_rng(0)
    items = []
    for name in ("gt", "found"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        truth = cv2.GaussianBlur(rng.random((side, side)), (0, 0), side / 40) > 0.5
        soft = cv2.GaussianBlur(truth.astype(np.float64), (0, 0), 6)
        soft = (soft + rng.normal(0, 0.01, soft.shape)).clip(0, 1)
        files = [folder / name / f"{number:04d}.png" for name in ("gt", "found")]
        for file, values in zip(files, (truth, soft), strict=True):
            Image.fromarray((values * 255).astype(np.uint8)).save(file, compress_level=1)
        pair = Pair("drawn", files[0].stem, *files)
        items.append(Item(pair.name, (pair.truth, pair.prediction), pair))
    return items


def seconds(items: list[Item[Pair]], workers: int, folder: Path) -> tuple[float, float]:
    """Measure all pictures anew; return seconds for each in all, and once all workers run."""
    begun = 2 * workers
    start = time.perf_counter()
    function = partial(measure_files, resize="", strict=False)
    rows = measure_all(items, function, workers, folder / f"workers-{workers}")
    moments = [time.perf_counter() for _ in rows]
    running = (moments[-1] - moments[begun - 1]) / (len(items) - begun)
    return (moments[-1] - start) / len(items), running


def weighted_f_milliseconds(side: int) -> tuple[float, float]:
    """Return CPU milliseconds of one picture, PySODMetrics' and ours; best of three."""
    rng = np.random.default_rng(0)
    mask = cv2.GaussianBlur(rng.random((side, side)), (0, 0), side / 40) > 0.5
    values = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 6).clip(0, 1)

    def theirs(values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> None:
        WeightedFmeasure().step(values, mask, False)

    times = []
    for function in (theirs, weighted_f):
        tries = []
        for _ in range(3):
            start = time.process_time()
            function(values, mask)
            tries.append(1000 * (time.process_time() - start))
        times.append(min(tries))
    return times[0], times[1]


def peak_megabytes(folder: Path, count: int) -> float:
    """Run the program on `count` small pictures; return its largest memory so far."""
    draw_pairs(folder, count, SMALL)
    places = [f"--ground_truth={folder / 'gt'}", f"--predictions={folder / 'found'}"]
    command = [sys.executable, "-m", "evaluation.dis", *places, f"--output_dir={folder / 'out'}"]
    subprocess.run(command, check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="pictures")
    parser.add_argument("--side", type=int, default=1024, help="pixels")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # of all children the largest memory is known: the shorter run comes first
        memory = [peak_megabytes(folder / str(n), n) for n in (options.count, 3 * options.count)]
        items = draw_pairs(folder / "large", options.count, options.side)
        load = os.getloadavg()[0]
        one, more = (seconds(items, workers, folder) for workers in (1, options.workers))
    theirs, ours = weighted_f_milliseconds(options.side)
    pictures = f"{options.count} pictures of {options.side} x {options.side}"
    print(f"{pictures}, load average before {load:.1f} on {os.cpu_count()} cores")
    for name, first, second in zip(("start included", "once running"), one, more, strict=True):
        gain = f"{first / second:.2f}x"
        print(f"{name}: 1 worker {first:.3f} s, {options.workers} {second:.3f} s each: {gain}")
    print(f"weighted F: PySODMetrics {theirs:.0f} ms, ours {ours:.0f} ms: {theirs / ours:.1f}x")
    print(
        f"memory: {options.count} pictures {memory[0]:.0f} MB, {3 * options.count}: "
        f"{memory[1]:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
