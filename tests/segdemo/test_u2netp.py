"""U2NetP: the stored weights give the published network's maps and features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP

FIXTURE = Path(__file__).parents[1] / "fixtures" / "u2netp_io.npz"


def test_maps_and_features_are_the_published_networks() -> None:
    stored = np.load(FIXTURE)
    image = torch.from_numpy(stored["image"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        output = U2NetP.from_pretrained(U2NETP_WEIGHTS, torch_dtype=torch.float32)(image)
    found = output.logits.sigmoid()[0, 0].numpy()
    side = output.side_logits[3].sigmoid()[0, 0].numpy()
    np.testing.assert_allclose(found, stored["map"], atol=1e-3)  # stored as float16
    np.testing.assert_allclose(side, stored["side_4"], atol=1e-3)
    for name, features in (("encoder", output.encoder), ("decoder", output.decoder)):
        for level, values in enumerate(features):
            assert values.shape[-2:] == (64 // 2**level, 96 // 2**level)
            means = values[0].mean((1, 2)).numpy()
            np.testing.assert_allclose(means, stored[f"{name}_{level}"], atol=2e-3)


def test_an_image_of_any_size_and_brightness_has_a_map() -> None:
    torch.manual_seed(0)
    network = U2NetP(channels=4, inner_channels=2).eval()
    with torch.no_grad():
        dark = network(torch.full((1, 3, 37, 61), -1.0)).logits
        bright, dimmed = (network(scale * torch.ones(1, 3, 32, 32)).logits for scale in (1.0, 0.0))
    assert dark.shape == (1, 1, 37, 61)
    assert torch.isfinite(dark).all()
    assert torch.allclose(bright, dimmed)  # each image is scaled by its largest value
