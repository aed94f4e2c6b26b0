"""Training stages of the recipe: they resume exactly, and the prior learns."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from training.diffdis.latents import EncodedBatch
from training.diffdis.losses import diffdis_losses
from training.loop.trainer import Losses
from training.small.networks import build_scheduler
from training.small.prior import prior_losses
from training.small.settings import SmallSettings
from training.small.train import train


def _trained(settings: SmallSettings) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for file in sorted((Path(settings.output_dir) / "unet").glob("*.safetensors")):
        weights |= load_file(file)
    return weights


def test_a_stopped_stage_resumes_exactly(
    encoded: SmallSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(encoded, stages=["diffdis"], max_steps=2)
    halves = replace(whole, output_dir=str(tmp_path / "halves"))
    (tmp_path / "halves").mkdir()
    (tmp_path / "halves" / "latents").symlink_to(Path(encoded.output_dir) / "latents")
    train(whole)

    def stopped(*given: EncodedBatch, **options: object) -> Losses:
        os.kill(os.getpid(), signal.SIGTERM)
        return diffdis_losses(*given, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("training.small.train.diffdis_losses", stopped)
        train(halves)
    assert [p.name for p in Path(halves.output_dir).rglob("step_*.pt")] == ["step_0000001.pt"]
    train(halves)
    first, second = _trained(whole), _trained(halves)
    assert first
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_the_prior_learns() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    latents = torch.randn(4, 4, 1, 1).expand(-1, -1, 8, 8)
    optimizer = torch.optim.Adam(unet.parameters(), 3e-3)
    losses = []
    for step in range(60):
        rng = np.random.default_rng(step)
        loss = prior_losses(unet, build_scheduler(), latents, torch.ones(1, 2, 8), rng)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
