"""Measure what looking again at windows around thin parts brings, inside these windows.

    python -m benchmarks.window_refinement --truth BENCH/davis --every 5

--truth: a folder with images/ and masks/ (stems agree). Thin parts are what a truth loses when it
is opened by a disk; their largest three regions have a window each. The model's mask of the photo
is measured inside them as it is, then after the window was looked at again by the model itself and
by the prompter.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks.photo_speed import Mask, pairs
from evaluation.metrics.dis import boundary_iou, iou
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.registry import DEFAULT_MODEL, DEFAULT_PROMPTER
from segdemo.datatypes import FloatMap

THIN = 0.015  # radius of the disk, relative to the longer side
LEAST_AREA = 2e-4  # of a thin part, relative to the image
MOST_WINDOWS = 3  # a photo
MARGIN, SMALLEST = 1.6, 0.12  # sides of a window: relative to the part, and to the longer side


def thin_windows(truth: Mask) -> list[npt.NDArray[np.float64]]:
    """Return windows (left, top, right, bottom) around the largest thin parts of a mask (H, W)."""
    radius = max(1.0, THIN * max(truth.shape))
    padded = np.pad(truth, 1)
    depth = ndimage.distance_transform_edt(padded)
    opened = ndimage.distance_transform_edt(depth <= radius) <= radius
    parts, count = ndimage.label(padded & ~opened)
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    numbers = [n for n in np.argsort(-areas) if areas[n] >= LEAST_AREA * truth.size]
    boxes = ndimage.find_objects(parts)
    windows = []
    for rows, columns in (boxes[n] for n in numbers[:MOST_WINDOWS]):
        low = np.array([columns.start, rows.start]) - 1.0
        high = np.array([columns.stop, rows.stop]) - 1.0
        side = np.maximum(MARGIN * (high - low), SMALLEST * max(truth.shape))
        middle = (low + high) / 2
        corners = np.concatenate([middle - side / 2, middle + side / 2])
        windows.append(np.rint(corners).clip(0, np.tile(truth.shape[::-1], 2)))
    return windows


def inside(mask: FloatMap, box: npt.NDArray[np.float64], truth: Mask) -> tuple[float, float]:
    """Return IoU and boundary IoU of a soft mask with the truth inside a window."""
    left, top, right, bottom = box.astype(int)
    cut = np.s_[top:bottom, left:right]
    found, true = mask[cut] > 0.5, truth[cut]
    return iou(found, true), boundary_iou(found, true)


def measure(folder: Path, every: int, assistant: AnnotationAssistant) -> dict[str, list[float]]:
    """Return the values of every window: of each way its IoU and boundary IoU."""
    values: dict[str, list[float]] = {}
    for image, truth in pairs(folder, every):
        first = assistant.segment(image, edges=False).mask
        for box in thin_windows(truth):
            ways = {
                "first": first,
                "model": assistant.refine_window(image, first, box, by="model"),
                "prompter": assistant.refine_window(image, first, box, by="prompter"),
            }
            for way, mask in ways.items():
                overlap, boundary = inside(mask, box, truth)
                values.setdefault(f"{way} IoU", []).append(overlap)
                values.setdefault(f"{way} BIoU", []).append(boundary)
    return values


def main(argv: list[str] | None = None) -> int:
    """Print the means inside the windows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="folder with images/ and masks/")
    parser.add_argument("--every", type=int, default=1, help="of --truth, every n-th photo")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--prompter", default=DEFAULT_PROMPTER)
    arguments = parser.parse_args(argv)
    assistant = AnnotationAssistant(arguments.model, "cpu", prompter=arguments.prompter)
    values = measure(arguments.truth, arguments.every, assistant)
    count = len(values.get("first IoU", []))
    print(f"{count} windows")
    for name, measured in values.items():
        print(f"{name:16}{statistics.fmean(measured):8.3f}")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
