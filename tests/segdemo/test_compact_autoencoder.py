"""The compact autoencoder: its sizes, its files, and what a diffusion network may write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segdemo.compact_autoencoder import CompactAutoencoder


def _tiny(**config: object) -> CompactAutoencoder:
    torch.manual_seed(0)
    shape = {"block_out_channels": (8, 8), "encoder_blocks": (1, 1), "decoder_blocks": (1, 1)}
    return CompactAutoencoder(**shape | {"latent_channels": 5, "patch_size": 4} | config).eval()


@pytest.mark.parametrize(("patch", "widths"), [(4, (8, 12)), (2, (8, 12, 8)), (1, (8, 8))])
def test_latents_have_the_size_that_the_factor_says(patch: int, widths: tuple[int, ...]) -> None:
    blocks = (1,) * len(widths)
    network = _tiny(
        patch_size=patch, block_out_channels=widths, encoder_blocks=blocks, decoder_blocks=blocks
    )
    with torch.no_grad():
        latents = network.encode(torch.zeros(2, 3, 48, 32)).latents
        decoded = network.decode(latents).sample
    assert latents.shape == (2, 5, 48 // network.factor, 32 // network.factor)
    assert decoded.shape == (2, 3, 48, 32)


def test_a_saved_autoencoder_answers_alike(tmp_path: Path) -> None:
    network = _tiny()
    network.save_pretrained(tmp_path)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        loaded = CompactAutoencoder.from_pretrained(tmp_path)
        assert torch.equal(loaded(images).sample, network(images).sample)


def test_outliers_among_latents_decode_as_the_limit_does() -> None:
    network = _tiny()
    with torch.no_grad():
        high = network.decode(torch.full((1, 5, 2, 2), 50.0)).sample
        higher = network.decode(torch.full((1, 5, 2, 2), 5000.0)).sample
    assert torch.allclose(high, higher)
