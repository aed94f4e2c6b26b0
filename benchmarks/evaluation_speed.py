"""Speed and memory of the measuring programs on drawn images: one worker against more.

    python -m benchmarks.evaluation_speed --count 40 --side 1024

Prints for `dis`, `uis` and `boundaries` seconds an image and the gain of more workers, with their
start and once all of them run (a long run is close to the second). Beside it stands what the
machine could do at that moment: how much faster that many busy loops were than one. CPU seconds
hardly depend on other work: they tell what the gain would be on free cores, and how much of all is
done by the process that hands out images. Then milliseconds of the weighted F beside
PySODMetrics', and the largest memory of rle of `count` and three times `count` small images.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from py_sod_metrics import WeightedFmeasure

from evaluation import boundaries, dis, uis
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample, measure_all
from evaluation.data.boundary_annotations import instance_boundaries
from evaluation.data.boundary_sets import BoundarySample
from evaluation.data.instance_readers import LabelMapFile
from evaluation.data.mask_pairs import PredictionPair
from evaluation.metrics.instance_metrics import Protocol
from evaluation.metrics.weighted_f import weighted_f

SMALL = 256  # side of the images that show whether memory grows
LOOPS = 10_000_000  # steps of a busy loop: about half a second
BINS = 3  # thresholds of edge maps; the protocol has 99, each costs as much
Work = tuple[list[Sample[Any]], Callable[[Any], Row]]


def blobs(rng: np.random.Generator, side: int) -> npt.NDArray[np.bool_]:
    """Draw smooth blobs that cover half of an image."""
    smooth = cv2.GaussianBlur(rng.random((side, side)), (0, 0), side / 40)
    return np.asarray(smooth > 0.5)


def draw_pairs(folder: Path, count: int, side: int) -> Work:
    """Write `count` masks of blobs and soft predictions of them."""
    rng = np.random.default_rng(0)
    samples: list[Sample[Any]] = []
    for name in ("gt", "found"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        truth = blobs(rng, side)
        soft = cv2.GaussianBlur(truth.astype(np.float64), (0, 0), 6)
        soft = (soft + rng.normal(0, 0.01, soft.shape)).clip(0, 1)
        files = [folder / name / f"{number:04d}.png" for name in ("gt", "found")]
        for file, values in zip(files, (truth, soft), strict=True):
            Image.fromarray((values * 255).astype(np.uint8)).save(file, compress_level=1)
        pair = PredictionPair("drawn", files[0].stem, *files)
        samples.append(Sample(pair.name, (pair.truth, pair.prediction), pair))
    return samples, partial(dis.measure_files, resize="", strict=False)


def draw_objects(folder: Path, count: int, side: int) -> Work:
    """Write `count` pairs of label maps, the blobs as objects and the same moved a little."""
    rng = np.random.default_rng(0)
    samples: list[Sample[Any]] = []
    folder.mkdir(parents=True)
    for number in range(count):
        _, labels = cv2.connectedComponents(blobs(rng, side).astype(np.uint8))
        files = [folder / f"{name}_{number:04d}.png" for name in ("truth", "found")]
        for file, ids in zip(files, (labels, np.roll(labels, 4, axis=1)), strict=True):
            Image.fromarray(ids.astype(np.uint16)).save(file, compress_level=1)
        pair = uis.InstanceSample(number, LabelMapFile(files[0]), LabelMapFile(files[1]))
        samples.append(Sample(files[0].name, tuple(files), pair))
    return samples, partial(uis.measure_sample, protocol=Protocol())


def draw_edges(folder: Path, count: int, side: int) -> Work:
    """Write `count` photos of blobs, their borders as truth and blurred borders as edge maps."""
    rng = np.random.default_rng(0)
    samples: list[Sample[Any]] = []
    folder.mkdir(parents=True)
    for number in range(count):
        truth = blobs(rng, side)
        photo, edges = (folder / f"{number:04d}{ending}.png" for ending in ("", "_edge"))
        Image.fromarray(truth * np.uint8(200)).convert("RGB").save(photo)
        line = instance_boundaries(truth.astype(np.int64))
        soft = cv2.GaussianBlur(line.astype(np.float64), (0, 0), 1.5)
        Image.fromarray((255 * soft / soft.max()).astype(np.uint8)).save(edges)
        archive = folder / f"{number:04d}.npz"
        np.savez(archive, boundaries=np.packbits(line[None], axis=-1), width=side)
        sample = BoundarySample(photo, archive, edges)
        samples.append(Sample(photo.name, sample.files, sample))
    return samples, partial(boundaries.measure_sample, bins=BINS, thin_first=True)


@dataclass(frozen=True)
class Run:
    """Seconds of a run: in all, once all workers run, CPU of this process, CPU of the workers."""

    whole: float
    running: float
    own_cpu: float
    workers_cpu: float


def timed(work: Work, workers: int, begun: int, folder: Path) -> Run:
    """Measure all images again; seconds are of one image. begun: images before it counts."""
    samples, function = work
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, own = time.perf_counter(), time.process_time()
    rows = measure_all(samples, function, workers, folder / f"workers-{workers}")
    moments = [time.perf_counter() for _ in rows]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)  # the workers have ended by now
    cpu = ended.ru_utime + ended.ru_stime - children.ru_utime - children.ru_stime
    return Run(
        (moments[-1] - start) / len(samples),
        (moments[-1] - moments[begun - 1]) / (len(samples) - begun),
        (time.process_time() - own) / len(samples),
        cpu / len(samples),
    )


def busy_loop(steps: int) -> int:
    """Keep one core busy."""
    total = 0
    for step in range(steps):
        total += step * step
    return total


def cores_at_hand(workers: int) -> float:
    """Return how many times as much work so many busy loops did as one, in the same time."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(busy_loop, [1000] * workers, 1)  # all have started
        seconds = []
        for loops in (1, workers):
            start = time.perf_counter()
            pool.map(busy_loop, [LOOPS] * loops, 1)
            seconds.append(time.perf_counter() - start)
    return workers * seconds[0] / seconds[1]


def print_gain(name: str, work: Work, workers: int, folder: Path) -> None:
    """Measure by one worker and by more, and say what that was worth."""
    before = cores_at_hand(workers)
    one, more = (timed(work, n, 2 * workers, folder) for n in (1, workers))
    after = cores_at_hand(workers)
    cpu = more.own_cpu + more.workers_cpu
    free = one.own_cpu / max(more.own_cpu, cpu / workers)
    print(
        f"{name}: 1 worker {one.whole:.3f} s an image, {workers} {more.whole:.3f} s: "
        f"{one.whole / more.whole:.2f}x with start, {one.running / more.running:.2f}x once "
        f"running (busy loops {before:.2f}x before, {after:.2f}x after)"
    )
    print(
        f"  CPU an image: 1 worker {one.own_cpu:.3f} s, {workers} workers {more.workers_cpu:.3f} s"
        f" with start and {more.own_cpu:.4f} s in the main process ({more.own_cpu / cpu:.1%}): "
        f"{free:.2f}x on {workers} free cores"
    )


def weighted_f_milliseconds(side: int) -> tuple[float, float]:
    """Return CPU milliseconds of one image, PySODMetrics' and ours; best of three."""
    mask = blobs(np.random.default_rng(0), side)
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
    """Run the program on `count` small images; return its largest memory so far."""
    draw_pairs(folder, count, SMALL)
    places = [f"--ground_truth={folder / 'gt'}", f"--predictions={folder / 'found'}"]
    command = [sys.executable, "-m", "evaluation.dis", *places, f"--output_dir={folder / 'out'}"]
    subprocess.run(command, check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="images")
    parser.add_argument("--side", type=int, default=1024, help="pixels")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # of all children the largest memory is known: the shorter run comes first
        memory = [peak_megabytes(folder / str(n), n) for n in (options.count, 3 * options.count)]
        print(f"{options.count} images of {options.side} x {options.side}, {os.cpu_count()} cores")
        for name, draw in (("dis", draw_pairs), ("uis", draw_objects), ("boundaries", draw_edges)):
            work = draw(folder / name, options.count, options.side)
            print_gain(name, work, options.workers, folder / f"{name}-out")
    theirs, ours = weighted_f_milliseconds(options.side)
    print(f"weighted F: PySODMetrics {theirs:.0f} ms, ours {ours:.0f} ms: {theirs / ours:.1f}x")
    print(
        f"memory: {options.count} images {memory[0]:.0f} MB, {3 * options.count}: "
        f"{memory[1]:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
