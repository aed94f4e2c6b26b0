"""Measure opening a project of thousands of images: time, memory, files, a page of the queue.

    python -m benchmarks.project_speed
    python -m benchmarks.project_speed --images 50000

The images are drawn into a temporary folder first. With --masks a COCO JSON of ten polygons an
image lies beside them, which is taken in when the project is opened first.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

BARS = {"first": 3.0, "again": 3.0, "page": 0.1}  # seconds, of 5,000 images
SIZE = (480, 640)  # (height, width)
POLYGONS = 10  # an image
PAGE = 40  # rows, as the page shows

OPEN = """
import resource, sys, time
from pathlib import Path
from segdemo.projects.project import Project
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, worked = time.perf_counter(), time.process_time()
project = Project(Path(sys.argv[1]))
opened, worked = time.perf_counter(), time.process_time() - worked
rows = project.board.page({page}, 3).rows
paged = time.perf_counter()
for row in rows:
    project.thumbnail(row)
drawn = time.perf_counter()
project.leases.take_next("ada", project.annotators.enter("ada"))
taken = time.perf_counter()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(opened - start, worked, paged - opened, drawn - paged, taken - drawn, (after - before) / 1024)
"""


def draw(folder: Path, images: int) -> None:
    """Write JPEGs into sub-folders of a thousand; a few pictures, many names."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(16):
        packed = io.BytesIO()
        noise = rng.integers(0, 255, (*(side // 8 for side in SIZE), 3), np.uint8)
        Image.fromarray(noise).resize(SIZE[::-1]).save(packed, "JPEG")
        pictures.append(packed.getvalue())
    for number in range(images):
        place = folder / f"{number // 1000:03d}"
        place.mkdir(exist_ok=True)
        (place / f"photo_{number:06d}.jpg").write_bytes(pictures[number % len(pictures)])


def write_masks(folder: Path, images: int) -> None:
    """Write polygons of all images as one COCO JSON beside them."""
    entries, annotations = [], []
    height, width = SIZE
    for number in range(images):
        name = f"{number // 1000:03d}/photo_{number:06d}.jpg"
        entries.append({"id": number, "file_name": name, "width": width, "height": height})
        for place in range(POLYGONS):
            x, y = 20 + place * 60, 40 + (number * 7 + place * 31) % 300
            angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
            corners = np.stack([x + 20 * np.cos(angles), y + 40 * np.sin(angles)], 1)
            annotations.append(
                {
                    "id": number * POLYGONS + place,
                    "image_id": number,
                    "category_id": 1 + place % 3,
                    "segmentation": [corners.round(1).ravel().tolist()],
                    "bbox": [x - 20, y - 40, 40, 80],
                    "area": 2500,
                    "iscrowd": 0,
                }
            )
    names = [{"id": number, "name": f"kind {number}"} for number in (1, 2, 3)]
    content = {"images": entries, "annotations": annotations, "categories": names}
    (folder / "instances.json").write_text(json.dumps(content))


def measure(folder: Path) -> list[float]:
    """Open the project in a process of its own; see `OPEN` for what comes back."""
    command = [sys.executable, "-c", OPEN.format(page=PAGE), str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in said.split()]


def main() -> int:
    """Draw, measure twice, print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--masks", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw(folder, arguments.images)
        if arguments.masks:
            start = time.perf_counter()
            write_masks(folder, arguments.images)
            size = (folder / "instances.json").stat().st_size / 1e6
            print(f"masks: {size:.0f} MB of JSON, written in {time.perf_counter() - start:.1f} s")
        missed = 0
        for name in ("first", "again"):
            opened, worked, paged, drawn, taken, memory = measure(folder)
            missed += opened > BARS[name] or paged > BARS["page"]
            print(
                f"{name}: opened in {opened:.2f} s (bar {BARS[name]:g}), {worked:.2f} s of one "
                f"core; a page of {PAGE} rows in {paged * 1000:.1f} ms, its thumbnails in "
                f"{drawn * 1000:.0f} ms, the next image "
                f"leased in {taken * 1000:.1f} ms, memory {memory:+.0f} MB"
            )
        own = [path for path in (folder / ".segdemo").rglob("*") if path.is_file()]
        total = sum(path.stat().st_size for path in own) / 1e6
        print(f"{arguments.images} images: {len(own)} files of the project's own, {total:.1f} MB")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
