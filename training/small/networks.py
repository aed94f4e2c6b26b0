"""The untrained networks of the embedded model, and the constants around them."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from segdemo.diffdis.loading import SD_TURBO_SCHEDULE


def build_prior() -> UNet2DConditionModel:
    """Return the untrained stage-2 U-Net, 14 M parameters.

    Self-attention at 1/16 and 1/32 of the image and in the middle, as in Stable Diffusion at its
    native size; at 1/8 it would halve the images per second on a CPU.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 192, 192),
        layers_per_block=1,
        down_block_types=(
            "DownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        ),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=(1, 2, 3, 3),  # numbers of heads of 64; diffusers misnames this option
        use_linear_projection=True,
    )


def build_scheduler() -> DDPMScheduler:
    """Return SD-Turbo's noise schedule for networks that predict v.

    With v the last timestep's output is nearly the clean latent itself; a small network that
    predicts noise would first have to copy its input to one part in a hundred.
    """
    return DDPMScheduler.from_config(SD_TURBO_SCHEDULE | {"prediction_type": "v_prediction"})


def build_null_text() -> torch.Tensor:
    """Return the constant that stands for the empty prompt, (1, 2, 64): there is no text here."""
    return torch.ones(1, 2, 64)
