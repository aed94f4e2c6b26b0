"""The narrowest DiffDIS there is, on disk: a step takes a twentieth of a second."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

from segdemo.checkpoints.card import ModelCard
from segdemo.diffdis.loading import SD_TURBO_SCHEDULE
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from training.model_card import write_model


def write_narrow(folder: Path, prior: bool = False) -> Path:
    """Write a model of random weights for 64 pixels; prior: with what it began as in `prior/`."""
    torch.manual_seed(0)
    plain = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=True,
    )
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    pipeline = DiffDISPipeline(
        DiffDISUNet.from_stable_diffusion(plain),
        autoencoder,
        DDPMScheduler(**SD_TURBO_SCHEDULE),
        torch.ones(1, 2, 8),
        native_size=64,
    )
    write_model(pipeline, ModelCard("tiny", "MIT", native_size=64, base=None), folder)
    if prior:
        plain.save_pretrained(folder / "prior")
    return folder
