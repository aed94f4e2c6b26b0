"""Measure the app as a user meets it: start, photos of one megapixel, memory. Linux only.

    python -m benchmarks.app_speed
    python -m benchmarks.app_speed --photo holiday.jpg -- --model runs/small/export
    python -m benchmarks.app_speed --page_only
    python -m benchmarks.app_speed --peer isnet.onnx --truth BENCH/davis --every 5

Two photos go through the page's endpoint. Then, in one process and in turns: what a photo gets
today, what it got at commit 3e39107, and what a peer's ONNX file gives by onnxruntime; their
seconds are ratios of one run, and with --truth their IoU stands beside them. What follows `--` goes
to app.py; --model there is measured in turns, too. Run it on an idle machine; the bars are for two
CPU cores. Of a busy machine, the processor's seconds until the page answers can be compared.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

from benchmarks.photo_speed import (
    earlier_way,
    mean_iou,
    peer_way,
    present_way,
    print_turns,
    time_in_turns,
)
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.datatypes import InputError
from segdemo.images import load_rgb

ROOT = Path(__file__).resolve().parent.parent
START_BAR, PHOTO_BAR, MEMORY_BAR = 5.0, 5.0, 1.2  # seconds, seconds, GB
TODAY, EARLIER, PEER = "today", "settings of commit 3e39107", "peer by onnxruntime"
EARLIER_RATIO, PEER_RATIO = 4.0, 0.6  # so many times faster; at most this share of its time
PATIENCE = 300.0  # seconds until a start counts as failed


class MemoryWatch(threading.Thread):
    """Samples the resident memory of a process and its children; `peak` is the most, in bytes."""

    def __init__(self, root: int) -> None:
        """Watch the process with id `root`, ten times a second, until `done` is set."""
        super().__init__(daemon=True)
        self.root = root
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        """Sample until told to stop."""
        while not self.done.wait(0.1):
            self.peak = max(self.peak, sum(map(resident_bytes, process_tree(self.root))))


def process_tree(root: int) -> list[int]:
    """Return the ids of a process and all its descendants that are alive now."""
    found = [root]
    for process in found:  # grows while it is walked
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # ended since it was listed
                continue
    return found


def resident_bytes(process: int) -> int:
    """Return the resident memory of one process; 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(process: int) -> float:
    """Return how long processors have worked for one process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # in user and kernel mode


def make_photo(path: Path) -> Path:
    """Write a picture of 1152 x 896 pixels: a textured disc before a gradient."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:896, 0:1152]
    ground = np.stack([rows / 8 + 60, columns / 10 + 40, (rows + columns) / 16 + 30], -1)
    inside = (rows - 450) ** 2 + (columns - 560) ** 2 < 300**2
    ground[inside] = (190, 90, 50) + rng.normal(0, 15, (int(inside.sum()), 3))
    Image.fromarray(ground.clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def seconds_until_page(url: str, server: subprocess.Popen[bytes], started: float) -> float:
    """Wait until the page answers; raises RuntimeError when the server ends or takes too long."""
    while time.perf_counter() - started < PATIENCE:
        if server.poll() is not None:
            raise RuntimeError(
                f"app.py ended with status {server.returncode}; its words are above."
            )
        try:
            with urllib.request.urlopen(url, timeout=5):
                return time.perf_counter() - started
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"No page at {url} within {PATIENCE:.0f} s.")


def patient_client(url: str, **options: Any) -> Client:
    """Connect to the page, which answers late while a busy machine loads models."""
    return Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE}, **options)


def seconds_of_call(client: Client, photo: Path) -> float:
    """Time one photo through the public endpoint, upload and download included."""
    started = time.perf_counter()
    client.predict(handle_file(str(photo)), api_name="/segment")
    return time.perf_counter() - started


def report(start: float, calls: list[float], peak: float) -> bool:
    """Print the table; return whether every figure is within its bar. peak: in GB."""
    rows = [("page answers, s", start, START_BAR)]
    rows += [(f"photo, call {n}, s", took, PHOTO_BAR) for n, took in enumerate(calls, start=1)]
    rows.append(("peak memory, GB", peak, MEMORY_BAR))
    print(f"{'':20}{'measured':>10}{'bar':>8}")
    for name, measured, bar in rows:
        print(f"{name:20}{measured:10.2f}{bar:8.1f}{'' if measured <= bar else '  over'}")
    return all(measured <= bar for _, measured, bar in rows)


def measure(photo: Path | None, app_arguments: list[str]) -> bool:
    """Start the app, use it, stop it; return whether it kept within all bars."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    url = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as folder:
        picture = photo or make_photo(Path(folder) / "photo.jpg")
        started = time.perf_counter()
        command = [sys.executable, "app.py", *app_arguments]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        watch = MemoryWatch(server.pid)
        watch.start()
        try:
            start = seconds_until_page(url, server, started)
            print(
                f"until the page answers the processor works {processor_seconds(server.pid):.2f} s"
            )
            client = patient_client(url, download_files=folder)
            calls = [seconds_of_call(client, picture) for _ in range(2)]
        finally:
            watch.done.set()
            server.terminate()
            server.wait(PATIENCE)
    return report(start, calls, watch.peak / 1e9)


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when every figure is within its bar, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, help="A photo to use instead of a drawn one.")
    parser.add_argument("--peer", type=Path, help="IS-Net, or what takes and gives the same, ONNX")
    parser.add_argument("--truth", type=Path, help="folder with images/ and masks/: print IoUs")
    parser.add_argument("--every", type=int, default=1, help="of --truth, every n-th image")
    parser.add_argument("--repetitions", type=int, default=3, help="of each way, in turns")
    parser.add_argument("--turns_only", action="store_true", help="do not start the page")
    parser.add_argument("--page_only", action="store_true", help="do not compare ways in turns")
    parser.add_argument("app_arguments", nargs="*", help="Flags for app.py, after `--`.")
    arguments = parser.parse_args(argv)
    try:
        kept = arguments.page_only or compare(arguments)
    except InputError as error:
        parser.error(str(error))
    if not arguments.turns_only:
        kept &= measure(arguments.photo, arguments.app_arguments)
    return 0 if kept else 1


def compare(arguments: argparse.Namespace) -> bool:
    """Time one photo by each way in turns; return whether the ratios are within their bars."""
    app = argparse.ArgumentParser()
    app.add_argument("--model", default=DEFAULT_MODEL)
    model = app.parse_known_args(arguments.app_arguments)[0].model
    ways = {TODAY: present_way(model), EARLIER: earlier_way()}
    if arguments.peer is not None:
        ways[PEER] = peer_way(arguments.peer)
    with tempfile.TemporaryDirectory() as folder:
        image = load_rgb(arguments.photo or make_photo(Path(folder) / "photo.jpg"))
    timings = time_in_turns(ways, image, arguments.repetitions)
    lines = []
    if arguments.truth is not None:
        for name, way in ways.items():
            value, count = mean_iou(way, arguments.truth, arguments.every)
            lines.append(f"{name}: IoU {value:.3f} on {count} images of {arguments.truth}")
    today = statistics.median(timings[TODAY].processor)
    print_turns(timings)
    print(*lines, sep="\n", end="\n" * bool(lines))
    kept = True
    for name, needed in ((EARLIER, EARLIER_RATIO), (PEER, 1 / PEER_RATIO)):
        if name in timings:
            times = statistics.median(timings[name].processor) / today
            kept &= times >= needed
            verdict = "" if times >= needed else ", missed"
            print(f"today is {times:.2f} times as fast as {name} (bar {needed:.2f}{verdict})")
    return kept


if __name__ == "__main__":
    sys.exit(main())
