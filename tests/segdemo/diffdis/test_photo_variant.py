"""The variant whose injectors also see features of a network that knows photographs."""

from __future__ import annotations

import pytest
import torch

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet, class_labels
from segdemo.photo_features import PhotoFeatures
from tests.tiny_pipeline import tiny_pipeline
from training.small_models import build_prior


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


def test_features_follow_the_latents_at_the_injectors_sizes(
    plain: DiffDISUNet, features: PhotoFeatures
) -> None:
    torch.manual_seed(3)
    pictures = torch.rand(2, 3, 128, 128) * 2 - 1
    unet = plain.with_photo_features(features.condition_widths).eval()
    with torch.no_grad():
        latents = _pipeline(plain, None).condition_pyramid(pictures)
        joined = _pipeline(unet, features).condition_pyramid(pictures)
        *_, fine, coarse = features(pictures)
    for level, both, width in zip(latents, joined, features.condition_widths, strict=True):
        assert both.shape == (2, 4 + width, *level.shape[2:])
        assert torch.equal(both[:, :4], level)
    assert torch.equal(joined[0][:, 4:], fine)
    assert torch.equal(joined[1][:, 4:], coarse)
    for channel in range(coarse.shape[1]):
        mean = float(coarse[0, channel, :2, :2].mean())
        assert float(joined[2][0, 4 + channel, 0, 0]) == pytest.approx(mean, abs=1e-6)


def test_new_injectors_change_nothing_and_the_rest_stays(
    plain: DiffDISUNet, features: PhotoFeatures
) -> None:
    unet = plain.with_photo_features(features.condition_widths).eval()
    for name, tensor in plain.state_dict().items():
        if not name.startswith("injectors."):
            assert torch.equal(unet.state_dict()[name], tensor), name
    torch.manual_seed(4)
    given = (torch.randn(2, 8, 16, 16), 999, torch.ones(2, 2, 64), class_labels(1))
    sides = zip(features.condition_widths, (8, 4, 2), strict=True)
    pyramid = tuple(torch.randn(1, 4 + width, side, side) for width, side in sides)
    with torch.no_grad():
        once = unet(*given, pyramid)
        again = unet(*given, tuple(level * 2 for level in pyramid))
        injected = plain(*given, tuple(level[:, :4] for level in pyramid))
    assert torch.equal(once, again)
    assert not torch.allclose(once, injected)
