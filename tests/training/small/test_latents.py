"""Latents of scenes: which network they fit, and how a batch is disturbed against overfitting."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segdemo.datatypes import InputError
from training.diffdis.latents import Latents
from training.small.latents import SceneLatents, regularize
from training.small.settings import SmallSettings
from training.small.train import train


def _latents() -> Latents:
    torch.manual_seed(0)
    side = 16
    levels = tuple(torch.ones(4, 50, side // k, side // k) for k in (2, 4, 8))
    image, mask, edge = torch.randn(3, 4, 4, side, side)
    return Latents(image, levels, mask, edge)


def test_an_interrupted_encoding_is_continued_with_the_same_latents(
    encoded: SmallSettings, tmp_path: Path
) -> None:
    folder = Path(encoded.output_dir) / "latents"
    indices = np.arange(4)
    before = SceneLatents(folder).batch(indices)
    (folder / "progress.json").write_text('{"done": 0, "complete": false}')
    (folder / "000002.safetensors").unlink()
    with pytest.raises(InputError, match="holds no complete latents"):
        SceneLatents(folder)
    train(replace(encoded, stages=["latents"]))
    after = SceneLatents(folder).batch(indices)
    for name, value in before.latents.tensors().items():
        torch.testing.assert_close(after.latents.tensors()[name], value)
    assert torch.equal(after.pixels, before.pixels)


def test_latents_of_another_network_or_version_are_one_sentence(encoded: SmallSettings) -> None:
    seeing = replace(encoded, photo_features=True, start_from=encoded.start_from)
    with pytest.raises(InputError, match="started with other photo features"):
        train(replace(seeing, stages=["latents"]))
    with pytest.raises(InputError, match="was encoded for a network with other photo features"):
        train(replace(seeing, stages=["diffdis"]))
    folder = Path(encoded.output_dir) / "latents"
    for file in folder.glob("*.safetensors"):
        file.unlink()
    shutil.copyfile(folder / "mixed.npy", folder / "picture.npy")  # as it once was
    for stage in ("latents", "diffdis"):
        with pytest.raises(InputError, match="written by an earlier version: delete it"):
            train(replace(encoded, stages=[stage]))


def test_the_image_is_disturbed_and_the_targets_are_not() -> None:
    latents = _latents()
    found = regularize(latents, noise=0.3, dropout=0.0)
    assert abs(float((found.image - latents.image).std()) - 0.3) < 0.02
    assert found.mask is latents.mask and found.edge is latents.edge
    assert all(torch.equal(a, b) for a, b in zip(found.pyramid, latents.pyramid, strict=True))


def test_whole_channels_are_dropped_and_the_others_scaled_up() -> None:
    for level in regularize(_latents(), noise=0.0, dropout=0.25).pyramid:
        kept = level[..., 0, 0]  # (B, C)
        assert torch.equal(level, kept[..., None, None].expand_as(level))
        assert 0.1 < float((kept == 0).float().mean()) < 0.4
        torch.testing.assert_close(kept[kept > 0].unique(), torch.tensor([1 / 0.75]))
