"""EfficientNet-Lite: the published weights give the published network's features."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segdemo.photo_features import PhotoFeatures, SameConvolution
from training.photo_weights import imagenet_features

REFERENCE = Path(__file__).parents[1] / "fixtures" / "efficientnet_lite2.json"


def _drawn() -> torch.Tensor:
    """A picture of 6 x 6 coloured squares, (1, 3, 96, 96) in [-1, 1]."""
    small = np.random.default_rng(5).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    pixels = np.kron(small, np.ones((16, 16, 1), np.uint8))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_maps_agree_with_another_implementation_of_the_same_weights() -> None:
    expected = json.loads(REFERENCE.read_text())["maps"]
    features = imagenet_features().eval()
    with torch.no_grad():
        maps = features(_drawn())
    assert len(maps) == len(expected)
    for found, wanted in zip(maps, expected, strict=True):
        assert list(found.shape) == wanted["shape"]
        assert float(found.mean()) == pytest.approx(wanted["mean"], abs=1e-4)
        assert float(found.std(correction=0)) == pytest.approx(wanted["deviation"], abs=1e-4)
        ends = [*found.flatten()[:8].tolist(), *found.flatten()[-8:].tolist()]
        # float32 sums of up to 2112 products in another order
        assert ends == pytest.approx(wanted["first"] + wanted["last"], abs=1e-3)


def test_widths_and_strides_are_those_of_its_maps() -> None:
    features = PhotoFeatures(width=0.5, depth=0.5).eval()
    with torch.no_grad():
        maps = features(torch.zeros(1, 3, 128, 128))
        conditions = features.conditions(torch.zeros(1, 3, 128, 128))
    assert [m.shape[1] for m in maps] == features.widths
    assert tuple(128 / m.shape[-1] for m in maps) == features.strides
    assert [m.shape[1] for m in conditions] == list(features.condition_widths)
    assert [128 / m.shape[-1] for m in conditions] == [8, 16, 32, 64]


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_padding_is_tensorflows_same(side: int, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = SameConvolution(1, 1, kernel, stride, bias=False)
    picture = torch.randn(1, 1, side, side)
    with torch.no_grad():
        found = layer(picture)[0, 0]
    out = math.ceil(side / stride)
    before = max(0, (out - 1) * stride + kernel - side) // 2
    assert found.shape == (out, out)
    padded = F.pad(picture, [before, kernel] * 2)[0, 0]
    for row in range(out):
        for column in range(out):
            part = padded[row * stride :, column * stride :][:kernel, :kernel]
            expected = float((part * layer.weight[0, 0].detach()).sum())
            assert float(found[row, column]) == pytest.approx(expected, abs=1e-5)
