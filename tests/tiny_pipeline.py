"""A DiffDIS pipeline whose autoencoder is tiny and untrained."""

from __future__ import annotations

from diffusers import AutoencoderKL

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.photo_features import PhotoFeatures
from training.small.networks import build_null_text, build_scheduler


def tiny_pipeline(unet: DiffDISUNet, features: PhotoFeatures | None = None) -> DiffDISPipeline:
    """Put a network between an autoencoder of PyTorch's present seed and what `small` has."""
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=8,
        mid_block_add_attention=False,
    )
    return DiffDISPipeline(unet, autoencoder, build_scheduler(), build_null_text(), 64, features)
