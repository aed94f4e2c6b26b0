"""Measure prompters: the IoU of one box and of simulated clicks, and clicks needed (NoC).

    python -m evaluation.prompting --images B/images --annotations B/instances --output_dir out
    python -m evaluation.prompting --images val --annotations val.json --output_dir out

Boxes: the object's own, and each side wrong by 5 % of the box's width or height, in or out. Clicks:
the first into the object's middle, each further one into the middle of the largest region that is
wrong (Xu et al., CVPR 2016). NoC@0.85: clicks until that IoU, at most --max_clicks, which counts
where it is never reached. Controls: the filled box and GrabCut (SIGGRAPH 2004).
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from evaluation.core.benchmark import Benchmark, exit_status, run
from evaluation.core.cli import Parser, add_run, count
from evaluation.core.row_file import Row
from evaluation.core.runner import Sample
from evaluation.data.files import stem
from evaluation.data.instance_readers import InstanceReader
from evaluation.data.instance_sets import read_truth
from evaluation.data.validation import FileError
from evaluation.metrics.dis import iou
from evaluation.report.panels import WorstPanels
from evaluation.report.tables import Report
from segdemo.checkpoints.locate import locate
from segdemo.checkpoints.registry import DEFAULT_PROMPTER
from segdemo.datatypes import InputError, RGBImage
from segdemo.diffusion import pick_device
from segdemo.files import find_images
from segdemo.images import load_rgb
from segdemo.prompting.clicks import Mask, next_click
from segdemo.prompting.interface import Prompter
from segdemo.prompting.loading import load_prompter
from segdemo.prompting.prompts import Prompt

SMALLEST = 32 * 32  # pixels; COCO calls what is below small
WRONG = 0.05
TARGETS = (0.85, 0.9)
GRABCUT_ROUNDS = 5


@dataclass(frozen=True)
class PromptingSample:
    """An image and its objects. name: seeds how boxes are wrong."""

    name: str
    image: Path
    truth: InstanceReader


@dataclass(frozen=True)
class Protocol:
    """Which prompter is measured, and how. prompter: "" measures the controls only."""

    prompter: str
    device: str
    max_clicks: int
    smallest: int
    objects: int
    controls: bool


def measure_sample(sample: PromptingSample, protocol: Protocol) -> Row:
    """Prompt for every object of an image; lists have one value each. Raises InputError."""
    image = load_rgb(sample.image, sample.name)
    rng = np.random.default_rng(list(sample.name.encode()))
    objects = read_objects(sample.truth, protocol)
    if any(one.shape != image.shape[:2] for one in objects):
        raise InputError("image and truth differ in size")
    row: Row = {"objects": len(objects), "seconds": []}
    prompter = _prompter(protocol.prompter, protocol.device) if protocol.prompter else None
    if prompter is not None and objects:
        prompter.set_image(image)
    for truth in objects:
        box = box_of(truth)
        wrong = wrong_box(box, rng)
        found: dict[str, float] = {}
        if prompter is not None:
            started = time.perf_counter()
            found["box"] = iou(prompter.predict(Prompt(box)).mask > 0.5, truth)
            row["seconds"].append(time.perf_counter() - started)
            found["wrong box"] = iou(prompter.predict(Prompt(wrong)).mask > 0.5, truth)
            row.setdefault("clicks", []).append(click_ious(prompter, truth, protocol.max_clicks))
        if protocol.controls:
            found["filled box"] = iou(filled(box, truth.shape), truth)
            found["filled wrong box"] = iou(filled(wrong, truth.shape), truth)
            found["grabcut"] = iou(grabcut(image, box), truth)
        for name, value in found.items():
            row.setdefault(name, []).append(value)
    return row


def read_objects(truth: InstanceReader, protocol: Protocol) -> list[Mask]:
    """Return an image's objects that count, (H, W) each: no crowds, none too small."""
    found = truth.load()
    if found.rle is None:
        raise InputError("the truth holds boxes and no masks")
    masks = [
        mask_api.decode(dict(code)).astype(bool)
        for code, crowd in zip(found.rle, found.crowd, strict=True)
        if not crowd
    ]
    masks = [mask for mask in masks if mask.sum() >= protocol.smallest]
    return masks[: protocol.objects or None]


def click_ious(prompter: Prompter, truth: Mask, most: int) -> list[float]:
    """Return the IoU after 1, 2 .. `most` clicks; the last one is repeated once nothing is wrong.

    Each answer is given back to the prompter with the next click.
    """
    prompt = Prompt(points=np.zeros((0, 2)), labels=np.zeros(0, bool))
    found, ious = np.zeros_like(truth), list[float]()
    for _ in range(most):
        click = next_click(found, truth)
        if click is None:
            return ious + [1.0] * (most - len(ious))
        assert prompt.points is not None
        assert prompt.labels is not None
        points = np.concatenate([prompt.points, [click[:2]]])
        prompt = replace(prompt, points=points, labels=np.append(prompt.labels, click[2]))
        answer = prompter.predict(prompt).mask
        prompt, found = replace(prompt, mask=answer), answer > 0.5
        ious.append(iou(found, truth))
    return ious


def clicks_needed(ious: Sequence[float], target: float) -> int:
    """Return the clicks until an IoU; all where it is never reached."""
    return next((i for i, value in enumerate(ious, 1) if value >= target), len(ious))


def box_of(mask: Mask) -> npt.NDArray[np.float64]:
    """Return left, top, right, bottom of a mask's pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def wrong_box(box: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Move each side in or out, at random, by `WRONG` of the box's width or height."""
    moved: npt.NDArray[np.float64] = box + WRONG * np.tile(box[2:] - box[:2], 2) * rng.choice(
        [-1, 1], 4
    )
    return moved


def filled(box: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Mask:
    """Return the box as a mask."""
    mask = np.zeros(shape, bool)
    left, top, right, bottom = np.rint(box).astype(int).clip(0)
    mask[top:bottom, left:right] = True
    return mask


def grabcut(image: RGBImage, box: npt.NDArray[np.float64]) -> Mask:
    """Return GrabCut's mask for a box; the filled box where nothing lies outside it."""
    inside = filled(box, image.shape[:2])
    if inside.all():
        return inside
    cv2.setRNGSeed(0)
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, labels, (0, 0, 1, 1), *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


@functools.cache
def _prompter(name: str, device: str) -> Prompter:
    """Load a prompter once a process."""
    return load_prompter(name, pick_device(device))


@dataclass(frozen=True, kw_only=True)
class PromptingBenchmark(Benchmark[PromptingSample]):
    """Objects and what a prompter makes of them."""

    program: ClassVar[str] = "prompting"
    section: str
    protocol: Protocol

    def report(self, rows: Iterator[Row], notes: Sequence[str]) -> Report:
        """Average over the objects of all images."""
        kept = list(rows)
        figures = figures_of(kept)
        seconds = [value for row in kept for value in row["seconds"]]
        if seconds:
            timed = f"seconds an answer to a box on this machine: {np.median(seconds):.2f} (median)"
            notes = [*notes, timed]
        measured = [name for name in ("box", "filled box") if any(name in row for row in kept)]
        values = [mean(row.get(measured[0])) if measured else None for row in kept]
        return Report(
            program=self.program,
            protocol=f"mean IoU over objects of {self.protocol.smallest} pixels and more; clicks "
            f"up to {self.protocol.max_clicks}",
            figures={f"{self.section}/{name}": value for name, value in figures.items()},
            per_image=[summary(row) for row in kept],
            counts={"images": len(kept), "objects": sum(row["objects"] for row in kept)},
            notes=notes,
            worst=WorstPanels(values, self.panel) if self.protocol.prompter else None,
        )

    def panel(self, index: int) -> RGBImage:
        """Draw an image's answers to boxes: right white, too much vermilion, missed blue."""
        sample = self.samples[index].payload
        image = load_rgb(sample.image, sample.name)
        drawn = image // 2
        prompter = _prompter(self.protocol.prompter, self.protocol.device)
        prompter.set_image(image)
        for truth in read_objects(sample.truth, self.protocol):
            found = prompter.predict(Prompt(box_of(truth))).mask > 0.5
            drawn[found & truth] = 255
            drawn[found & ~truth] = (213, 94, 0)
            drawn[truth & ~found] = (0, 114, 178)
        return drawn


def figures_of(rows: Sequence[Row]) -> dict[str, float]:
    """Return row/metric -> mean over the objects of all images."""
    figures: dict[str, float] = {}
    for control, names in {
        "prompter": ("box", "wrong box"),
        "filled box": ("filled box", "filled wrong box"),
        "GrabCut": ("grabcut",),
    }.items():
        for name, metric in zip(names, ("box", "box 5 % wrong"), strict=False):
            values = [value for row in rows for value in row.get(name, ())]
            if values:
                figures[f"{control}/{metric}"] = float(np.mean(values))
    curves = [curve for row in rows for curve in row.get("clicks", ())]
    if curves:
        for number, value in enumerate(np.mean(curves, 0)[:10], 1):
            figures[f"prompter/{number} click{'s' if number > 1 else ''}"] = float(value)
        for target in TARGETS:
            needed = [clicks_needed(curve, target) for curve in curves]
            figures[f"prompter/NoC@{target:g}"] = float(np.mean(needed))
    return figures


def summary(row: Row) -> Row:
    """Return an image's line of the table."""
    means = {name: mean(row[name]) for name in row if name not in ("name", "objects", "clicks")}
    return {"name": row["name"], "objects": row["objects"]} | means


def mean(values: Sequence[float] | None) -> float | None:
    """Return the mean, None of nothing."""
    return float(np.mean(values)) if values else None


def collect(options: argparse.Namespace) -> PromptingBenchmark:
    """Match images to the truth; raises InputError."""
    truth = read_truth(options.annotations)
    if not truth.has_masks:
        raise InputError(f"{options.annotations} holds boxes and no masks.")
    images = {stem(file.path.name): file.path for file in find_images([options.images])}
    errors, samples = list(truth.errors), []
    for entry in truth.images[: options.count or None]:
        image = images.get(stem(entry.name))
        if image is None:
            message = f"has no image in {options.images}."
            errors.append(FileError(entry.name, message, optional=True))
            continue
        payload = PromptingSample(entry.name, image, entry.reader)
        samples.append(Sample(entry.name, (image, *entry.files), payload))
    weights: list[Path] = []
    if options.prompter:
        folder = locate(options.prompter, "prompter")
        weights = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
    protocol = Protocol(
        options.prompter,
        options.device,
        options.max_clicks,
        options.min_area,
        options.objects,
        options.controls,
    )
    return PromptingBenchmark(
        samples=samples,
        measure=partial(measure_sample, protocol=protocol),
        errors=errors,
        files=[*truth.files, *weights],
        section=options.annotations.resolve().parent.name,
        protocol=protocol,
    )


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    description, *rest = __doc__.split("\n\n")
    parser = Parser(description, "\n\n".join(rest))
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="the truth: COCO's JSON, or a folder with a file an image",
    )
    parser.add_argument(
        "--prompter",
        default=DEFAULT_PROMPTER,
        help='name, folder or Hub id; "" measures the controls only (default: %(default)s)',
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--max_clicks",
        type=count,
        default=20,
        help="clicks an object; the field's protocol has 20 (default: %(default)s)",
    )
    parser.add_argument(
        "--min_area",
        type=count,
        default=SMALLEST,
        help="objects of fewer pixels do not count (default: %(default)s)",
    )
    parser.add_argument(
        "--count", type=int, default=0, help="images to measure, 0 = all (default: %(default)s)"
    )
    parser.add_argument(
        "--objects", type=int, default=0, help="objects an image, 0 = all (default: %(default)s)"
    )
    parser.add_argument(
        "--controls",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the filled box and GrabCut too (default: yes)",
    )
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)
    return exit_status(lambda: run(collect, options))


if __name__ == "__main__":
    sys.exit(main())
