"""How much faster two workers are than one, for the verbs that run on CPUs.

Draws photos of 640 x 480 with masks and edge maps, runs each verb with one worker and with more,
and prints seconds and their ratio, and whether all files are the same. Each process has one thread
(OMP_NUM_THREADS=1), so that one worker uses one core.

    python -m benchmarks.workers_speed --photos 24
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.annotation_memory import REFINED, draw_set


def main() -> int:
    """Run each verb both ways and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/workers_speed"))
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=list(VERBS))
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)
    draw_set(folder, arguments.photos, REFINED, grid=(4, 2), skipped=1)
    for verb in arguments.verbs:
        seconds = [run(verb, folder, workers) for workers in (1, arguments.workers)]
        same = files_of(folder, verb, 1) == files_of(folder, verb, arguments.workers)
        print(
            f"{verb:8} {seconds[0]:7.1f} s with 1 worker, {seconds[1]:7.1f} s with "
            f"{arguments.workers}: {seconds[0] / seconds[1]:.2f} times as fast, "
            f"{'the same files' if same else 'OTHER FILES'}",
            flush=True,
        )
    return 0


VERBS = {
    "refine": ["--images", "photos", "--masks", "masks.json", "--edges", "edges", "--output"],
    "segment": ["photos", "--output_dir"],
    "edges": ["photos", "--output_dir"],
}


def run(verb: str, folder: Path, workers: int) -> float:
    """Run a verb; returns the seconds, its start among them."""
    python = Path(sys.executable).absolute()
    command = [str(python), "-m", "segdemo", verb, *VERBS[verb], output_of(verb, workers)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    start = time.perf_counter()
    subprocess.run(
        [*command, "--workers", str(workers)],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def output_of(verb: str, workers: int) -> str:
    """Return what a run writes, relative to the folder."""
    return f"{verb}_{workers}"


def files_of(folder: Path, verb: str, workers: int) -> dict[str, bytes]:
    """Return the files that a run wrote, by name."""
    output = folder / output_of(verb, workers)
    files = [output] if output.is_file() else sorted(output.glob("*.*"))
    return {
        "" if path == output else path.name: path.read_bytes() for path in files if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
