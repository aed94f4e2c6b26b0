"""Schemas of the files that networks are built from: what is absurd is refused before building.

Libraries build what a config says, without end where it says so. Only entries that set how much is
built, or that have to fit the rest of this project, are listed; the libraries check the others.
Limits lie several times above the largest published model of each kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from segdemo.checkpoints.config_types import (
    Count,
    Counts,
    Fraction,
    NetworkConfig,
    Scale,
    Side,
    Types,
    Width,
    Widths,
    Word,
)
from segdemo.checkpoints.denoiser_configs import (
    FluxConfig,
    PixArtConfig,
    TransformerConfig,
    UNetConfig,
)
from segdemo.checkpoints.encoder_configs import (
    LlavaConfig,
    T5Config,
    TextEncoderConfig,
    VisionTransformerConfig,
)
from segdemo.checkpoints.files import CheckpointError, read_json
from segdemo.checkpoints.schema import Schema, validated


class AutoencoderConfig(NetworkConfig):
    """`AutoencoderKL` of diffusers."""

    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    sample_size: Side | None = 32
    latent_channels: Annotated[int, Field(ge=1, le=256)] = 4
    block_out_channels: Widths = Field(default=[64])
    down_block_types: Types = Field(default=["DownEncoderBlock2D"])
    up_block_types: Types = Field(default=["UpDecoderBlock2D"])
    layers_per_block: Count = 1
    norm_num_groups: Width = 32
    act_fn: Word = "silu"
    scaling_factor: Scale = 0.18215
    shift_factor: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    force_upcast: bool | None = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True


class TinyAutoencoderConfig(NetworkConfig):
    """`AutoencoderTiny` of diffusers."""

    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    encoder_block_out_channels: Widths = Field(default=[64, 64, 64, 64])
    decoder_block_out_channels: Widths = Field(default=[64, 64, 64, 64])
    num_encoder_blocks: Counts = Field(default=[1, 3, 3, 3])
    num_decoder_blocks: Counts = Field(default=[3, 3, 3, 1])
    latent_channels: Annotated[int, Field(ge=1, le=256)] = 4
    upsampling_scaling_factor: Literal[2] = 2
    act_fn: Word = "relu"
    upsample_fn: Word = "nearest"
    scaling_factor: Scale = 1.0


class CompactAutoencoderConfig(NetworkConfig):
    """`segdemo.compact_autoencoder`."""

    patch_size: Literal[1, 2, 4, 8, 16] = 2
    latent_channels: Annotated[int, Field(ge=1, le=256)] = 16
    block_out_channels: Widths = Field(default=[64, 64, 64])
    encoder_blocks: Counts = Field(default=[1, 2, 2])
    decoder_blocks: Counts = Field(default=[1, 2, 2])
    latent_limit: Scale = 3.0
    scaling_factor: Scale = 1.0


class PhotoFeaturesConfig(NetworkConfig):
    """`segdemo.photo_features`: multiples of EfficientNet-Lite0's width and depth."""

    width: Annotated[float, Field(ge=0.1, le=8)] = 1.1
    depth: Annotated[float, Field(ge=0.1, le=8)] = 1.2


class LevelConfig(Schema):
    """One scale of the features that an edge generator looks at."""

    layers: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=64)]
    width: Annotated[int, Field(ge=1, le=65_536)]
    stride: Annotated[float, Field(ge=1, le=256)]
    scale: Annotated[float, Field(gt=0, le=64)] = 1.0
    attention: bool = False


class EdgeGeneratorConfig(NetworkConfig):
    """`segdemo.diffegg.edge_generator`."""

    levels: Annotated[list[LevelConfig], Field(min_length=1, max_length=16)]
    channels: Annotated[int, Field(ge=1, le=2048)] = 256
    size: Annotated[int, Field(ge=8, le=4096)] = 512
    timestep: Annotated[int, Field(ge=0, le=999)] = 0


class NoiseScheduleConfig(Schema):
    """The part of a scheduler's file that says how noise grows."""

    num_train_timesteps: Annotated[int, Field(ge=1, le=100_000)] = 1000
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 0.0001
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.02
    beta_schedule: Word = "linear"
    trained_betas: Annotated[list[Fraction], Field(max_length=100_000)] | None = None
    prediction_type: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    clip_sample: bool = False
    clip_sample_range: Scale = 1.0
    thresholding: bool = False
    dynamic_thresholding_ratio: Fraction = 0.995
    sample_max_value: Scale = 1.0
    timestep_spacing: Word = "leading"
    steps_offset: Annotated[int, Field(ge=0, le=1000)] = 0
    rescale_betas_zero_snr: bool = False


class AdapterConfig(Schema):
    """The part of PEFT's `LoraConfig` that says a LoRA's scale; layers by plain names."""

    lora_alpha: Annotated[float, Field(gt=0, le=100_000)]
    use_rslora: bool = False
    use_dora: Literal[False] = False
    alpha_pattern: dict[Annotated[str, Field(pattern=r"^\^?[\w.]+$")], float] = Field(default={})


SCHEMAS: dict[str, type[NetworkConfig]] = {
    "UNet2DConditionModel": UNetConfig,
    "DiffDISUNet": UNetConfig,
    "SD3Transformer2DModel": TransformerConfig,
    "FluxTransformer2DModel": FluxConfig,
    "PixArtTransformer2DModel": PixArtConfig,
    "T5EncoderModel": T5Config,
    "AutoencoderKL": AutoencoderConfig,
    "AutoencoderTiny": TinyAutoencoderConfig,
    "CompactAutoencoder": CompactAutoencoderConfig,
    "CLIPTextModel": TextEncoderConfig,
    "CLIPTextModelWithProjection": TextEncoderConfig,
    "ViTModel": VisionTransformerConfig,
    "Dinov2Model": VisionTransformerConfig,
    "Dinov2WithRegistersModel": VisionTransformerConfig,
    "LlavaForConditionalGeneration": LlavaConfig,
    "PhotoFeatures": PhotoFeaturesConfig,
    "EdgeGenerator": EdgeGeneratorConfig,
}
"""By class of the network."""


FORMER_NAMES = {"PixArtTransformer2DModel": "Transformer2DModel"}
"""What a class of diffusers was called when models were saved that are in use."""


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """Read and check the config.json of a network of a class; raises CheckpointError."""
    file = folder / "config.json"
    content = read_json(file)
    named = content.get("_class_name", kind)
    known = kind, FORMER_NAMES.get(kind)
    if named not in known and "UNet" not in f"{named}":  # DiffDIS' own had several
        raise CheckpointError(f"{file} describes a {named!r}, where a {kind} is needed.")
    validated(SCHEMAS[kind], content, file)
    return content
