"""What is measured of an ablation's model: the paper's metrics, seconds, the spread of masks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from evaluation.metrics.dis import CURVES, Means, measure_pair
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.datatypes import RGBImage
from segdemo.diffdis.denoising import find_denoising
from segdemo.diffdis.loading import load_diffdis
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffusion import pick_device
from segdemo.images import load_rgb, to_grey
from training.diffdis.pairs import ImageMaskPair, load_grey

METRICS = ("maxF", "wF", "adpE", "S", "MAE")
"""The paper's five, of binarised maps; its E is the adaptive one."""
SECONDS = "seconds"
Figures = dict[str, float]


def open_model(folder: Path, device: str) -> DiffDISPipeline:
    """Load an export, which always starts from drawn noise here."""
    pipeline = load_diffdis(locate_diffdis(str(folder)), pick_device(device))
    pipeline.noise = 1.0
    return pipeline


def measure(
    pipeline: DiffDISPipeline, pairs: Sequence[ImageMaskPair], size: int
) -> dict[str, Figures]:
    """Return the figures by sampler: ddim, and ddpm where there is more than one step.

    Measured at each image's own size, as DiffDIS' evaluation does. seconds: of the fastest image,
    everything included; other work on the machine distorts a mean.
    """
    several = len(find_denoising(pipeline.unet.config.denoising).test) > 1
    found = {}
    for sampler in ("ddim", "ddpm") if several else ("ddim",):
        settings, means, seconds = DiffDISSettings(size=size, sampler=sampler), Means(), []
        for pair in pairs:
            image = load_rgb(pair.image)
            started = time.perf_counter()
            mask = pipeline(image, settings).mask
            seconds.append(time.perf_counter() - started)
            measured = measure_pair(load_grey(pair.mask), to_grey(mask))["diffdis"]
            means.add(measured.values, dict(zip(CURVES, measured.curves, strict=True)))
        figures = means.figures()
        found[sampler] = {name: figures[name] for name in METRICS} | {SECONDS: min(seconds)}
    return found


def spread_of_masks(
    pipeline: DiffDISPipeline, pairs: Sequence[ImageMaskPair], size: int, seeds: int
) -> Figures:
    """Return how much masks of one image differ by the seed of the starting noise (Fig. 4).

    deviation: standard deviation of a pixel over seeds, the mean of all pixels and images; soft
    masks. disagreement: 1 - IoU of two seeds' masks above 0.5, the mean of all pairs of seeds; two
    empty masks agree.
    """
    deviations, disagreements = [], []
    for pair in pairs:
        image = load_rgb(pair.image)
        masks = np.stack([_mask(pipeline, image, size, seed) for seed in range(seeds)])  # (K, H, W)
        deviations.append(float(masks.std(0).mean()))
        disagreements += [1 - _iou(*two) for two in combinations(masks > 0.5, 2)]
    return {
        "deviation": float(np.mean(deviations)),
        "disagreement": float(np.mean(disagreements)),
    }


def _mask(pipeline: DiffDISPipeline, image: RGBImage, size: int, seed: int) -> np.ndarray:
    return pipeline(image, DiffDISSettings(size=size, seed=seed)).mask


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0
