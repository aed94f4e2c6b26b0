"""Compose a small set for weakly supervised panoptic segmentation, with its truth.

    python -m benchmarks.panoptic_scenes --output_dir runs/scenes

Drawn scenes of touching discs and boxes (things) on sky and grass (stuff). For each of `train` and
`val`: `images/`, `class_maps/` (what a perfect WSS method would give), `edges/` (true outlines of
instances, blurred), `no_edges/` (blank, for a comparison without DiffEGG) and the panoptic truth
`truth.json` with its PNGs; and `classes.txt`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.boundaries import label_boundaries
from segdemo.files import write_json, write_png

CLASSES = {1: ("disc", True), 2: ("box", True), 3: ("sky", False), 4: ("grass", False)}
SIDE = 128
NOISE = 12.0  # standard deviation in grey levels


def compose(rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], dict[int, int]]:
    """Draw segment ids (SIDE, SIDE) from 1, and the class of each."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    ids = np.where(rows < rng.integers(SIDE // 4, 3 * SIDE // 4), 1, 2)
    classes = {1: 3, 2: 4}
    for _ in range(rng.integers(1, 4)):  # groups of touching objects of one class
        kind = int(rng.integers(1, 3))
        radius = int(rng.integers(9, 18))
        y, x = rng.integers(radius, SIDE - radius, 2)
        for place in range(rng.integers(1, 4)):
            dy, dx = rows - y, columns - (x + place * (2 * radius - 2))
            inside = np.maximum(abs(dy), abs(dx)) < radius
            if kind == 1:
                inside = dy**2 + dx**2 < radius**2
            number = len(classes) + 1
            classes[number] = kind
            ids[inside] = number
    present = np.unique(ids).tolist()
    return ids, {number: kind for number, kind in classes.items() if number in present}


def paint(
    ids: npt.NDArray[np.int64], classes: dict[int, int], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Colour the segments: sky bluish, grass greenish, things in any colour; (SIDE, SIDE, 3)."""
    image = np.zeros((*ids.shape, 3))
    for number, kind in classes.items():
        base = {3: (120, 160, 220), 4: (70, 150, 60)}.get(kind)
        colour = rng.integers(0, 256, 3) if base is None else base + rng.normal(0, 15, 3)
        image[ids == number] = colour
    return np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)


def write_split(folder: Path, count: int, seed: int) -> None:
    """Write `count` scenes with their truth."""
    for name in ("images", "class_maps", "edges", "no_edges", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        ids, classes = compose(rng)
        lookup = np.zeros(max(classes) + 1, np.uint8)
        lookup[list(classes)] = list(classes.values())
        things = np.where(lookup[ids] <= 2, ids, 0)
        edge = ndimage.gaussian_filter(label_boundaries(things).astype(np.float64), 0.7)
        stem = f"{number:04d}"
        write_png(paint(ids, classes, rng), folder / "images" / f"{stem}.png")
        write_png(lookup[ids], folder / "class_maps" / f"{stem}.png")
        grey = (255 * edge / max(1e-9, edge.max())).astype(np.uint8)
        write_png(grey, folder / "edges" / f"{stem}_edge.png")
        write_png(np.zeros_like(grey), folder / "no_edges" / f"{stem}_edge.png")
        planes = np.dstack([ids % 256, ids // 256, 0 * ids]).astype(np.uint8)
        Image.fromarray(planes).save(folder / "truth" / f"{stem}.png")
        size = {"height": SIDE, "width": SIDE}
        images.append({"id": number + 1, "file_name": f"{stem}.png"} | size)
        segments = [{"id": n, "category_id": kind} for n, kind in classes.items()]
        annotations.append(
            {"image_id": number + 1, "file_name": f"{stem}.png", "segments_info": segments}
        )
    categories = [
        {"id": number, "name": name, "isthing": int(is_thing)}
        for number, (name, is_thing) in CLASSES.items()
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(content, folder / "truth.json")


def main() -> None:
    """Write both splits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--val", type=int, default=60)
    options = parser.parse_args()
    for seed, (name, count) in enumerate((("train", options.train), ("val", options.val))):
        write_split(options.output_dir / name, count, seed)
    lines = [f"{number}: {name}\n" for number, (name, _) in CLASSES.items()]
    (options.output_dir / "classes.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
