"""Two photos of touching squares, one for each kind of masks, and the command that refines them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segdemo.__main__ import main
from segdemo.annotations import write_masks
from segdemo.datatypes import InstanceMasks

SIZE = (90, 140)


def squares() -> np.ndarray:
    """Return (90, 140) labels of two squares that touch."""
    labels = np.zeros(SIZE, np.int32)
    labels[20:70, 20:70], labels[20:70, 70:120] = 1, 2
    return labels


def edge_of(labels: np.ndarray) -> np.ndarray:
    """Return an edge map, 255 on both sides of every border between labels."""
    edge = np.zeros(labels.shape, np.uint8)
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        for side in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (side, 1 - side)
            edge[np.pad(differs, pad)] = 255
    return edge


def write_work(folder: Path) -> None:
    """Write photos a.png and b.png, their edges, and merged.json, in which each has one mask."""
    labels = squares()
    (folder / "photos").mkdir()
    (folder / "edges").mkdir()
    masks = {}
    for name in ("a.png", "b.png"):
        photo = np.stack([labels * 90] * 3, -1).astype(np.uint8)
        Image.fromarray(photo).save(folder / "photos" / name)
        Image.fromarray(edge_of(labels)).save(folder / "edges" / f"{name[0]}_edge.png")
        masks[name] = InstanceMasks.unscored((labels > 0)[None], np.array([4]), {4: "square"})
    write_masks(masks, folder / "merged.json", "coco")


def refine(work: Path, *more: str, masks: str = "merged.json", output: str = "out.json") -> int:
    """Run the verb on what `write_work` wrote; returns the exit code."""
    flags = ["refine", "--images", str(work / "photos"), "--masks", str(work / masks)]
    flags += ["--edges", str(work / "edges"), "--output", str(work / output)]
    return main([*flags, *more])
