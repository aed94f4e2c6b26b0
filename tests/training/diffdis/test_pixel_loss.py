"""The loss of decoded masks: absolute error plus what IoU lacks, in one part of the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import decode_latents
from tests.tiny_pipeline import tiny_pipeline
from training.diffdis.losses import CROP, PixelTargets, pixel_loss
from training.small.networks import build_prior


@pytest.fixture(scope="module")
def pipeline() -> DiffDISPipeline:
    torch.manual_seed(0)
    return tiny_pipeline(DiffDISUNet.from_stable_diffusion(build_prior()))


def _naive(found: list[float], truth: list[float]) -> tuple[float, float]:
    """Mean |p - g|, and sum p g / sum (p + g - p g), pixel by pixel."""
    error = both = either = 0.0
    for p, g in zip(found, truth, strict=True):
        error, both, either = error + abs(p - g), both + p * g, either + p + g - p * g
    return error / len(found), both / max(1.0, either)


def test_it_is_the_naive_sum_over_the_part_that_was_drawn(pipeline: DiffDISPipeline) -> None:
    side = CROP + 4
    torch.manual_seed(1)
    latents = torch.randn(2, 4, side, side)
    masks = torch.zeros(2, 8 * side, 8 * side, dtype=torch.uint8)
    masks[0, 30:90, 40:100] = 255  # the other picture has no subject
    with torch.no_grad():
        task = PixelTargets(masks, 1.0, np.random.default_rng(3))
        found = float(pixel_loss(pipeline, latents, task))

    rng = np.random.default_rng(3)
    top, left = int(rng.integers(5)), int(rng.integers(5))
    with torch.no_grad():
        part = latents[..., top : top + CROP, left : left + CROP]
        decoded = (decode_latents(pipeline.autoencoder, part).mean(1).clip(-1, 1) + 1) / 2
    pixels = slice(8 * top, 8 * (top + CROP)), slice(8 * left, 8 * (left + CROP))
    truth = masks[:, pixels[0], pixels[1]].float() / 255
    rows = [
        _naive(p.flatten().tolist(), g.flatten().tolist())
        for p, g in zip(decoded, truth, strict=True)
    ]
    expected = (rows[0][0] + rows[1][0]) / 2 + (1 - rows[0][1]) / 2
    assert found == pytest.approx(expected, abs=1e-4)


def test_following_its_gradient_makes_masks_right(pipeline: DiffDISPipeline) -> None:
    torch.manual_seed(2)
    latents = torch.randn(1, 4, 8, 8, requires_grad=True)
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, :, 32:] = 255
    task = PixelTargets(masks, 1.0, np.random.default_rng(0))
    optimizer = torch.optim.Adam([latents], 0.1)
    before = float(pixel_loss(pipeline, latents, task))
    for _ in range(20):
        optimizer.zero_grad()
        pixel_loss(pipeline, latents, task).backward()
        optimizer.step()
    assert float(pixel_loss(pipeline, latents, task)) < before - 0.05
