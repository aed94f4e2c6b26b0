"""One photo by several ways in one process, turn by turn: seconds as ratios, IoU beside them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from evaluation.metrics.dis import iou
from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.diffdis.pipeline import SALIENCY_WEIGHT
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.files import find_images
from segdemo.images import load_rgb, resize_map
from segdemo.subject import load_subject_network, predict_saliency

Mask = npt.NDArray[np.bool_]
Way = Callable[[RGBImage], FloatMap]
"""From an image to its soft mask."""

EARLIER_MODEL = "small-imagenet"
EARLIER = DiffDISSettings(augment=True, follow=True)
"""What commit 3e39107 did with a photo unless told otherwise: six passes in float32, and U2NetP's
opinion with mirrored looks."""
PEER_SIDE = 1024
PEER_MEAN = 128 / 255
"""IS-Net's own preprocessing: values in [0, 1] minus this."""


def earlier_way() -> Way:
    """Return commit 3e39107's way, by the code of today: the same network, passes and format."""
    assistant = AnnotationAssistant(EARLIER_MODEL, "cpu", "fp32")
    assistant.load()

    def segment(image: RGBImage) -> FloatMap:
        found = assistant.segment(image, EARLIER).mask
        saliency = predict_saliency(image, load_subject_network(), mirrored=True)
        return (1 - SALIENCY_WEIGHT) * found + SALIENCY_WEIGHT * saliency

    return segment


def present_way(model: str) -> Way:
    """Return what a photo gets today unless told otherwise, but for the edge, which can wait."""
    assistant = AnnotationAssistant(model, "cpu")
    assistant.load()
    return lambda image: assistant.segment(image, edges=False).mask


def peer_way(file: Path) -> Way:
    """Return an ONNX file's way, by onnxruntime; raises InputError where either is missing.

    The file takes (1, 3, S, S); its first output is a map, stretched as IS-Net's own script does.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "--peer needs the package onnxruntime: pip install onnxruntime."
        ) from error
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each kind of damage
        raise InputError(f"--peer {file} cannot be opened: {error}") from error
    entry = session.get_inputs()[0]
    side = entry.shape[-1] if isinstance(entry.shape[-1], int) else PEER_SIDE

    def segment(image: RGBImage) -> FloatMap:
        square = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        pixels = np.asarray(square, np.float32).transpose(2, 0, 1)[None] / 255 - PEER_MEAN
        found = np.squeeze(session.run(None, {entry.name: pixels})[0]).astype(np.float32)
        low, high = float(found.min()), float(found.max())
        stretched = (found - low) / max(high - low, 1e-6)
        return resize_map(stretched.astype(np.float32), (image.shape[0], image.shape[1]))

    return segment


@dataclass(frozen=True)
class Timing:
    """Seconds of each repetition, by the clock and of the processor."""

    wall: list[float]
    processor: list[float]


def time_in_turns(ways: Mapping[str, Way], image: RGBImage, repetitions: int) -> dict[str, Timing]:
    """Run each way once unmeasured, then all of them in turns, so that all meet the same load."""
    for way in ways.values():
        way(image)
    timings = {name: Timing([], []) for name in ways}
    for _ in range(repetitions):
        for name, way in ways.items():
            started, spent = time.perf_counter(), time.process_time()
            way(image)
            timings[name].wall.append(time.perf_counter() - started)
            timings[name].processor.append(time.process_time() - spent)
    return timings


def pairs(folder: Path, every: int) -> Iterator[tuple[RGBImage, Mask]]:
    """Yield every n-th of `folder`/images that has a mask (H, W) of its stem in /masks, with it."""
    truths = {file.path.stem: file.path for file in find_images([folder / "masks"])}
    for file in find_images([folder / "images"])[::every]:
        if file.path.stem in truths:
            yield load_rgb(file.path), load_rgb(truths[file.path.stem])[..., 0] > 127


def mean_iou(way: Way, folder: Path, every: int) -> tuple[float, int]:
    """Return the mean IoU at 0.5 on the `pairs` of a folder, and of how many."""
    values = [iou(way(image) > 0.5, truth) for image, truth in pairs(folder, every)]
    return (statistics.fmean(values) if values else float("nan")), len(values)


def print_turns(timings: Mapping[str, Timing]) -> None:
    """Print the medians of each way."""
    print(f"{'photo of 1 MP, in turns':32}{'clock, s':>10}{'processor, s':>14}")
    for name, timing in timings.items():
        wall, processor = map(statistics.median, (timing.wall, timing.processor))
        print(f"{name:32}{wall:10.2f}{processor:14.2f}")
