"""Measure the app as a user meets it: start, two photos of one megapixel, memory. Linux only.

    python -m benchmarks.app_speed
    python -m benchmarks.app_speed --photo holiday.jpg -- --model runs/small/export

What follows `--` goes to app.py. Run it on an idle machine; the bars are for two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
START_BAR, PHOTO_BAR, MEMORY_BAR = 15.0, 5.0, 2.0  # seconds, seconds, GB
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
            client = Client(url, verbose=False, download_files=folder)
            calls = [seconds_of_call(client, picture) for _ in range(2)]
        finally:
            watch.done.set()
            server.terminate()
            server.wait(30)
    return report(start, calls, watch.peak / 1e9)


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when every figure is within its bar, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, help="A photo to use instead of a drawn one.")
    parser.add_argument("app_arguments", nargs="*", help="Flags for app.py, after `--`.")
    arguments = parser.parse_args(argv)
    return 0 if measure(arguments.photo, arguments.app_arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
