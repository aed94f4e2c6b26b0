"""A batch disturbed against learning by heart keeps what it is to be compared with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segdemo.checkpoints.registry import ASSETS
from segdemo.datatypes import InputError
from training.small.latents import LatentBatch, blurred_memory
from training.small.train import SmallSettings, train


def _batch() -> LatentBatch:
    torch.manual_seed(0)
    side = 16
    levels = tuple(torch.ones(4, 50, side // k, side // k) for k in (2, 4, 8))
    targets = torch.randn(3, 4, 4, side, side)
    pixels = torch.zeros(4, 8 * side, 8 * side, dtype=torch.uint8)
    return LatentBatch(targets[0], levels, targets[1], targets[2], pixels)  # type: ignore[arg-type]


def test_latents_of_another_network_are_one_sentence(material_dir: Path, tmp_path: Path) -> None:
    few = {"material_dir": str(material_dir), "output_dir": str(tmp_path), "scene_count": 4}
    few |= {"image_size": 64, "batch_size": 2, "max_steps": 1, "precision": "fp32"}
    few |= {"start_from": str(ASSETS / "small"), "stages": ["scenes", "latents"]}
    train(SmallSettings(**few))
    few["photo_features"] = True
    with pytest.raises(InputError, match="begun with other photo features"):
        train(SmallSettings(**few))
    with pytest.raises(InputError, match="was encoded for a network with other photo features"):
        train(SmallSettings(**few | {"stages": ["diffdis"]}))


def test_the_picture_is_disturbed_and_the_targets_are_not() -> None:
    batch = _batch()
    found = blurred_memory(batch, noise=0.3, dropout=0.0)
    assert abs(float((found.picture - batch.picture).std()) - 0.3) < 0.02
    for name in ("mask", "edge", "pixels"):
        assert getattr(found, name) is getattr(batch, name)
    assert all(torch.equal(a, b) for a, b in zip(found.pyramid, batch.pyramid, strict=True))


def test_whole_channels_are_left_out_and_the_others_make_up_for_it() -> None:
    for level in blurred_memory(_batch(), noise=0.0, dropout=0.25).pyramid:
        kept = level[..., 0, 0]  # (B, C)
        assert torch.equal(level, kept[..., None, None].expand_as(level))
        assert 0.1 < float((kept == 0).float().mean()) < 0.4
        torch.testing.assert_close(kept[kept > 0].unique(), torch.tensor([1 / 0.75]))
