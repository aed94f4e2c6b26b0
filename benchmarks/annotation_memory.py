"""Peak memory and time of large annotation sets: refine a folder, open and export a session.

Draws two sets: photos of 640 x 480 with 7 masks each and edge maps, which `refine` repairs; and
photos of 1 megapixel with 400 masks each, which the page's Open reads and each format exports
(cut-outs of one photo only: a PNG of a megapixel for each mask takes long). Each step is a process
of its own, whose peak memory the system counts.

    python -m benchmarks.annotation_memory --folder runs/annotation_memory
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from segdemo.annotations import rle

DRAWINGS = 10  # different ones; more photos are copies under other names
REFINED, OPENED = (640, 480), (1000, 1000)  # (width, height)
FORMATS = ("coco", "coco-polygons", "panoptic", "indexed", "npz", "yolo", "labelme", "cutouts")
LIMIT = 1.5e9  # bytes


def main() -> int:
    """Draw the sets, run each step, print a line for each; returns 1 where one is above LIMIT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/annotation_memory"))
    parser.add_argument("--refined", type=int, default=2000, help="photos that are refined")
    parser.add_argument("--opened", type=int, default=100, help="photos that are opened")
    parser.add_argument("--formats", nargs="*", default=FORMATS, choices=FORMATS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    if arguments.child:
        run_child(folder, *arguments.child)
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    peaks = []
    if arguments.refined:
        draw_set(folder / "refine", arguments.refined, REFINED, grid=(4, 2), skipped=1)
        peaks.append(measure(f"refine {arguments.refined} photos", refine_command(folder)))
    if arguments.opened:
        draw_set(folder / "open", arguments.opened, OPENED, grid=(20, 20), skipped=0)
        own = [
            sys.executable,
            "-m",
            "benchmarks.annotation_memory",
            "--folder",
            str(folder),
            "--child",
        ]
        peaks.append(measure(f"open {arguments.opened} photos", [*own, "open", ""]))
        for name in arguments.formats:
            peaks.append(measure(f"export {name}", [*own, "export", name]))
    return int(max(peaks, default=0) > LIMIT)


def draw_set(
    folder: Path, photos: int, size: tuple[int, int], grid: tuple[int, int], skipped: int
) -> None:
    """Write photos, masks in COCO's JSON, and edge maps: ellipses on a grid that touch."""
    for name in ("photos", "edges"):
        (folder / name).mkdir(parents=True)
    width, height = size
    drawn = []
    for number in range(min(DRAWINGS, photos)):
        rng = np.random.default_rng(number)
        boxes = grid_boxes(size, grid, rng)[skipped:]
        photo = Image.fromarray(rng.integers(90, 110, (height, width, 3), np.uint8))
        edge = Image.new("L", size)
        masks = []
        for box in boxes:
            shape = Image.new("1", size)
            ImageDraw.Draw(shape).ellipse(box, fill=1)
            masks.append(rle.encode(np.asarray(shape)))
            ImageDraw.Draw(photo).ellipse(box, fill=tuple(rng.integers(0, 255, 3).tolist()))
            ImageDraw.Draw(edge).ellipse(box, outline=255)
        drawn.append((photo, edge, masks))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(photos):
        photo, edge, masks = drawn[number % len(drawn)]
        name = f"photo_{number:05d}"
        if number < len(drawn):
            photo.save(folder / "photos" / f"{name}.jpg", quality=85)
            edge.save(folder / "edges" / f"{name}_edge.png")
        else:
            first = f"photo_{number % len(drawn):05d}"
            shutil.copyfile(folder / "photos" / f"{first}.jpg", folder / "photos" / f"{name}.jpg")
            shutil.copyfile(
                folder / "edges" / f"{first}_edge.png", folder / "edges" / f"{name}_edge.png"
            )
        images.append({"id": number, "file_name": f"{name}.jpg", "width": width, "height": height})
        annotations += [
            {"id": len(annotations) + i, "image_id": number, "category_id": 1, "segmentation": mask}
            for i, mask in enumerate(masks)
        ]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }
    (folder / "masks.json").write_text(json.dumps(content))


def grid_boxes(
    size: tuple[int, int], grid: tuple[int, int], rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Return (left, top, right, bottom) of shapes that overlap their neighbours a little."""
    columns, rows = grid
    width, height = size[0] / columns, size[1] / rows
    boxes = []
    for i in range(columns * rows):
        x, y = (i % columns + 0.5) * width, (i // columns + 0.5) * height
        dx, dy = rng.uniform(0.4, 0.53, 2) * (width, height)
        boxes.append((x - dx, y - dy, x + dx, y + dy))
    return boxes


def refine_command(folder: Path) -> list[str]:
    """Return the command that refines the first set."""
    given = folder / "refine"
    options = {
        "images": given / "photos",
        "masks": given / "masks.json",
        "edges": given / "edges",
        "output": folder / "refined.json",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "segdemo", "refine", *flags]


def run_child(folder: Path, step: str, name: str) -> None:
    """Open the second set in a session, or export all of it in a format."""
    from segdemo.editing.sessions import SessionStore
    from segdemo.ui.refine.export import SCOPES, export_masks
    from segdemo.ui.refine.opening import open_files
    from segdemo.ui.uploads import Upload

    os.environ["GRADIO_TEMP_DIR"] = str(folder / "downloads")
    store = SessionStore(folder / "sessions")
    token = folder / "token"
    if step == "open":
        session = store.create()
        token.write_text(session.token)
        photos = sorted((folder / "open" / "photos").iterdir())
        uploads = [Upload(path=str(photo), orig_name=photo.name) for photo in photos]
        masks = folder / "open" / "masks.json"
        open_files(session, uploads, [Upload(path=str(masks), orig_name=masks.name)], [])
    else:
        scope = SCOPES[0 if name == "cutouts" else 1]
        export_masks(store.open(token.read_text()), 0, scope, name)  # type: ignore[arg-type]
        shutil.rmtree(folder / "downloads", ignore_errors=True)


def measure(title: str, command: Sequence[str]) -> float:
    """Run a command, print its time and peak memory; returns the bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    seconds = time.perf_counter() - start
    failed = f", exit status {process.returncode}" if process.returncode else ""
    print(f"{title:24} {peak / 1e6:7.0f} MB {seconds:7.1f} s{failed}", flush=True)
    return float("inf") if process.returncode else float(peak)


if __name__ == "__main__":
    sys.exit(main())
