"""The variant that also sees features of a network that knows photographs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet, task_labels
from segdemo.photo_features import PhotoFeatures
from tests.tiny_pipeline import tiny_pipeline
from training.small.networks import build_prior


@pytest.fixture(scope="module")
def features() -> PhotoFeatures:
    torch.manual_seed(0)
    return PhotoFeatures(width=0.25, depth=0.3)


@pytest.fixture(scope="module")
def plain() -> DiffDISUNet:
    torch.manual_seed(1)
    unet = DiffDISUNet.from_stable_diffusion(build_prior())
    for injector in unet.injectors:
        torch.nn.init.normal_(injector.shift.weight, std=0.05)
    return unet.eval()


def _pipeline(unet: DiffDISUNet, features: PhotoFeatures | None) -> DiffDISPipeline:
    torch.manual_seed(2)
    return tiny_pipeline(unet, features)


def test_features_follow_the_latents_at_the_sizes_the_network_works_at(
    plain: DiffDISUNet, features: PhotoFeatures
) -> None:
    torch.manual_seed(3)
    pictures = torch.rand(2, 3, 128, 128) * 2 - 1
    unet = plain.with_photo_features(features.condition_widths).eval()
    with torch.no_grad():
        latents = _pipeline(plain, None).condition_pyramid(pictures)
        joined = _pipeline(unet, features).condition_pyramid(pictures)
        quarter, eighth, sixteenth, coarse = features(pictures)
    assert all(torch.equal(a, b) for a, b in zip(latents, joined[:3], strict=True))
    finest, *rest = joined[3:]
    assert [level.shape[1] for level in joined[3:]] == list(features.condition_widths)
    assert [level.shape[-1] for level in joined[3:]] == [16, 8, 4, 2]
    assert torch.equal(finest[:, -eighth.shape[1] :], eighth)
    for channel in range(quarter.shape[1]):
        for row, column in itertools.product(range(2), range(2)):
            cells = quarter[:, channel, row::2, column::2]
            assert torch.equal(finest[:, 4 * channel + 2 * row + column], cells)
    assert torch.equal(rest[0], sixteenth)
    assert torch.equal(rest[1], coarse)
    for channel in range(coarse.shape[1]):
        mean = float(coarse[0, channel, :2, :2].mean())
        assert float(rest[2][0, channel, 0, 0]) == pytest.approx(mean, abs=1e-6)


def _given(features: PhotoFeatures) -> tuple[tuple[Any, ...], tuple[torch.Tensor, ...]]:
    """Return a network's other arguments, and what it sees of a picture."""
    torch.manual_seed(4)
    given = (torch.randn(2, 8, 16, 16), 999, torch.ones(2, 2, 64), task_labels(1))
    latents = tuple(torch.randn(1, 4, side, side) for side in (8, 4, 2))
    sides = zip(features.condition_widths, (16, 8, 4, 2), strict=True)
    return given, latents + tuple(torch.randn(1, width, side, side) for width, side in sides)


def test_new_fusions_change_nothing_and_the_rest_stays(
    plain: DiffDISUNet, features: PhotoFeatures
) -> None:
    unet = plain.with_photo_features(features.condition_widths).eval()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(unet.state_dict()[name], tensor), name
    given, seen = _given(features)
    with torch.no_grad():
        assert torch.equal(unet(*given, seen), plain(*given, seen[:3]))


@pytest.mark.parametrize("level", range(4))
def test_each_level_of_features_reaches_mask_and_edge_once_trained(
    plain: DiffDISUNet, features: PhotoFeatures, level: int
) -> None:
    unet = plain.with_photo_features(features.condition_widths).eval()
    torch.manual_seed(5)
    torch.nn.init.normal_(unet.photo_fusions[level].shift.weight, std=0.05)
    given, seen = _given(features)
    other = list(seen)
    other[3 + level] = other[3 + level].flip(-1)
    with torch.no_grad():
        once, again = unet(*given, seen), unet(*given, tuple(other))
        twice = unet(*given, tuple(part.repeat(2, 1, 1, 1) for part in seen))
    for item in range(2):
        assert not torch.allclose(once[item], again[item], atol=1e-4)
    torch.testing.assert_close(once, twice)
