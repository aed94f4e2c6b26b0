"""What measuring costs on drawn images, beside the best library: DIS, AP, PQ, RIP, annotations.

    python -m benchmarks.metrics_profile --count 1000

Prints for each the processor's milliseconds an image, ours and the library's, turn by turn on the
same images: DIS beside PySODMetrics (F, weighted F, S, E, MAE of a soft map), AP beside
faster-coco-eval, run-length codes beside pycocotools. PQ and RIP have no library of the same
protocol on PyPI (torchmetrics' PQ is another one). `--profile NAME` prints where the time goes.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import py_sod_metrics as sod
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as mask_api

from evaluation.metrics.average_precision import match, summarize
from evaluation.metrics.dis import measure_pair
from evaluation.metrics.instances import Instances, ious
from segdemo.annotations import rle
from segdemo.panoptic_quality import Segments, count_segments
from segdemo.rip.refine import refine_labels
from segdemo.rip.settings import ROBUST

SIZE = (240, 320)  # height, width
CLASSES = 5
DONE_BY_US = "no library of this protocol"

Labels = npt.NDArray[np.int64]
Case = tuple[Callable[[Any], None], Callable[[Any], None] | None, Sequence[Any]]
"""Ours, the library's or none, and what both are given."""


def draw(count: int) -> list[tuple[Labels, Labels, npt.NDArray[Any]]]:
    """Return label maps of about ten discs, the same moved a little, and soft maps of these."""
    rng = np.random.default_rng(0)
    drawn: list[tuple[Labels, Labels, npt.NDArray[Any]]] = []
    for _ in range(count):
        truth = np.zeros(SIZE, np.int32)
        for number in range(1, 11):
            centre = (int(rng.integers(0, SIZE[1])), int(rng.integers(0, SIZE[0])))
            cv2.circle(truth, centre, int(rng.integers(10, 40)), number, -1)
        found = np.roll(truth, int(rng.integers(1, 5)), 1)
        soft = cv2.GaussianBlur((found > 0).astype(np.float64), (0, 0), 3)
        drawn.append((truth.astype(np.int64), found.astype(np.int64), soft))
    return drawn


def dis_ours(drawn: Sequence[Any]) -> None:
    """Measure soft maps under both protocols."""
    for truth, _, soft in drawn:
        measure_pair((truth > 0) * np.uint8(255), soft)


def dis_library(drawn: Sequence[Any]) -> None:
    """Measure soft maps under one protocol."""
    measures = [sod.Fmeasure(), sod.WeightedFmeasure(), sod.Smeasure(), sod.Emeasure(), sod.MAE()]
    for truth, _, soft in drawn:
        pair = {"pred": (soft * 255).astype(np.uint8), "gt": (truth > 0) * np.uint8(255)}
        for measure in measures:
            measure.step(**pair)


def instances_of(labels: Labels) -> Instances:
    """Return the objects of a label map, with scores by their numbers."""
    numbers = [number for number in np.unique(labels) if number]
    masks = [mask_api.encode(np.asfortranarray(labels == number, np.uint8)) for number in numbers]
    return Instances.from_rle(masks, np.array([1 / number for number in numbers]))


def ap_ours(pairs: Sequence[tuple[Instances, Instances]]) -> None:
    """Match and summarize."""
    summarize(match(truth, found, ious(truth, found, "segm")) for truth, found in pairs)


def ap_library(pairs: Sequence[tuple[Instances, Instances]]) -> None:
    """Do the same by faster-coco-eval, from the same run-length codes."""
    images = [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in range(len(pairs))]
    truths: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, (truth, found) in enumerate(pairs):
        for one, area in zip(truth.rle or (), truth.areas, strict=True):
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "segmentation": one,
                    "area": float(area),
                    "bbox": [0, 0, 1, 1],
                }
            )
        for one, score in zip(found.rle or (), found.scores, strict=True):
            entry = {"image_id": number, "category_id": 1, "score": float(score)}
            results.append({**entry, "segmentation": one})
    content = {
        "images": images,
        "annotations": truths,
        "categories": [{"id": 1, "name": "object"}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(content)
        run = COCOeval_faster(api, api.loadRes(results), iouType="segm")
        run.evaluate()
        run.accumulate()
        run.summarize()


def pq_ours(drawn: Sequence[Any]) -> None:
    """Count segments of a few classes."""
    classes = {number: number % CLASSES + 1 for number in range(1, 11)}
    for truth, found, _ in drawn:
        sides = [
            Segments(labels, {int(n): classes[int(n)] for n in np.unique(labels) if n})
            for labels in (truth, found)
        ]
        count_segments(*sides)


def rip_ours(drawn: Sequence[Any]) -> None:
    """Repair label maps by the borders of the truth."""
    for truth, found, _ in drawn:
        edge = np.zeros(SIZE, np.float32)
        edge[:, 1:] = truth[:, 1:] != truth[:, :-1]
        refine_labels(found, edge, settings=ROBUST)


def codes_ours(drawn: Sequence[Any]) -> None:
    """Encode and decode a mask of each image, with the checks that files need."""
    for truth, *_ in drawn:
        rle.decode(rle.encode(truth > 0))


def codes_library(drawn: Sequence[Any]) -> None:
    """Do the same without checks."""
    for truth, *_ in drawn:
        mask_api.decode(mask_api.encode(np.asfortranarray(truth > 0, np.uint8))).astype(bool)


def milliseconds(work: Callable[[Any], None], given: Sequence[Any]) -> float:
    """Return the processor's milliseconds an image."""
    started = time.process_time()
    work(given)
    return 1000 * (time.process_time() - started) / len(given)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="images")
    parser.add_argument("--rip_count", type=int, default=100, help="images for RIP, which is slow")
    parser.add_argument("--profile", choices=("dis", "ap", "pq", "rip", "codes"))
    options = parser.parse_args(argv)
    drawn = draw(options.count)
    pairs = [(instances_of(truth), instances_of(found)) for truth, found, _ in drawn]
    cases: dict[str, Case] = {
        "dis": (dis_ours, dis_library, drawn),
        "ap": (ap_ours, ap_library, pairs),
        "pq": (pq_ours, None, drawn),
        "rip": (rip_ours, None, drawn[: options.rip_count]),
        "codes": (codes_ours, codes_library, drawn),
    }
    for name, (ours, library, given) in cases.items():
        if options.profile not in (None, name):
            continue
        if options.profile:
            with cProfile.Profile() as profile:
                ours(given)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
            continue
        mine = milliseconds(ours, given)
        if library is None:
            print(f"{name:6} {mine:8.2f} ms an image, {DONE_BY_US}", flush=True)
        else:
            theirs = milliseconds(library, given)
            print(
                f"{name:6} {mine:8.2f} ms an image, library {theirs:8.2f} ms "
                f"({theirs / mine:.2f} times as long)",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
