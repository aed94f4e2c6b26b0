"""Schemas of the configs of denoisers, as diffusers writes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segdemo.checkpoints.config_types import (
    BLOCK_WEIGHTS,
    BUILDABLE,
    MAX_BLOCKS,
    MAX_WEIGHTS,
    Blocks,
    Count,
    Counts,
    Epsilon,
    Fraction,
    Heads,
    Kernel,
    NetworkConfig,
    Scale,
    Side,
    Types,
    Width,
    Widths,
    Word,
)


class UNetConfig(NetworkConfig):
    """`UNet2DConditionModel` of diffusers, and DiffDISUNet, which adds the last three."""

    sample_size: Side | None = None
    in_channels: Width = 4
    out_channels: Width = 4
    block_out_channels: Widths = Field(default=[320, 640, 1280, 1280])
    down_block_types: Types = Field(default=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"])
    up_block_types: Types = Field(default=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3)
    mid_block_type: Word | None = "UNetMidBlock2DCrossAttn"
    layers_per_block: Count | Counts = 2
    transformer_layers_per_block: Blocks | Annotated[list[Blocks], Field(max_length=8)] = 1
    reverse_transformer_layers_per_block: None = None
    cross_attention_dim: Width | Widths = 1280
    attention_head_dim: Heads | Annotated[list[Heads], Field(max_length=8)] = 8
    num_attention_heads: Heads | Annotated[list[Heads], Field(max_length=8)] | None = None
    norm_num_groups: Width = 32
    norm_eps: Epsilon = 1e-5
    dropout: Fraction = 0.0
    act_fn: Word = "silu"
    conv_in_kernel: Kernel = 3
    conv_out_kernel: Kernel = 3
    downsample_padding: Annotated[int, Field(ge=0, le=15)] = 1
    mid_block_scale_factor: Scale = 1.0
    addition_embed_type: Literal["text_time"] | None = None
    addition_time_embed_dim: Width | None = None
    addition_embed_type_num_heads: Heads = 64
    class_embed_type: Literal["projection"] | None = None
    projection_class_embeddings_input_dim: Width | None = None
    num_class_embeds: None = None  # images have no class here
    encoder_hid_dim: None = None  # prompts come as the text encoder gives them
    encoder_hid_dim_type: None = None
    time_embedding_type: Literal["positional"] = "positional"
    time_embedding_dim: Width | None = None
    time_cond_proj_dim: Width | None = None
    photo_widths: Annotated[list[Width], Field(max_length=8)] = Field(default=[])
    denoising: Word = "1/1"
    denoising_steps: Annotated[int, Field(ge=1, le=1000)] = 1  # as earlier versions wrote it

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        widths = self.block_out_channels
        layers, depths = (
            value if isinstance(value, list) else [value] * len(widths)
            for value in (self.layers_per_block, self.transformer_layers_per_block)
        )
        if not len(widths) == len(layers) == len(depths):
            raise ValueError("entries by level should be as many as block_out_channels")
        # on the way down and one more on the way up: a residual block and its transformer
        blocks = [(2 * n + 1) * (1 + depth) for n, depth in zip(layers, depths, strict=True)]
        weights = sum(n * BLOCK_WEIGHTS * w**2 for n, w in zip(blocks, widths, strict=True))
        if sum(blocks) > MAX_BLOCKS or weights > MAX_WEIGHTS:
            raise ValueError(BUILDABLE)
        return self


class TransformerConfig(NetworkConfig):
    """`SD3Transformer2DModel` of diffusers."""

    sample_size: Side = 128
    patch_size: Annotated[int, Field(ge=1, le=16)] = 2
    in_channels: Annotated[int, Field(ge=1, le=256)] = 16
    out_channels: Annotated[int, Field(ge=1, le=256)] | None = 16
    num_layers: Blocks = 18
    attention_head_dim: Heads = 64
    num_attention_heads: Heads = 18
    joint_attention_dim: Width = 4096
    caption_projection_dim: Width = 1152
    pooled_projection_dim: Width = 2048
    pos_embed_max_size: Annotated[int, Field(ge=1, le=512)] = 96
    dual_attention_layers: Annotated[list[int], Field(max_length=64)] = Field(default=[])
    qk_norm: Word | None = None

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        width = self.attention_head_dim * self.num_attention_heads
        positions = self.pos_embed_max_size**2 * width
        if self.num_layers * BLOCK_WEIGHTS * width**2 > MAX_WEIGHTS or positions > 1 << 29:
            raise ValueError(BUILDABLE)
        return self


class FluxConfig(NetworkConfig):
    """`FluxTransformer2DModel` of diffusers."""

    patch_size: Literal[1] = 1  # latents are put together in fours before
    in_channels: Annotated[int, Field(ge=4, le=1024, multiple_of=4)] = 64
    out_channels: None = None
    num_layers: Blocks = 19
    num_single_layers: Annotated[int, Field(ge=1, le=128)] = 38
    attention_head_dim: Heads = 128
    num_attention_heads: Heads = 24
    joint_attention_dim: Width = 4096
    pooled_projection_dim: Width = 768
    guidance_embeds: bool = False
    axes_dims_rope: Annotated[list[Heads], Field(min_length=3, max_length=3)] = Field(
        default=[16, 56, 56]
    )

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        width = self.attention_head_dim * self.num_attention_heads
        blocks = self.num_layers + self.num_single_layers
        if blocks * BLOCK_WEIGHTS * width**2 > MAX_WEIGHTS:
            raise ValueError(BUILDABLE)
        if sum(self.axes_dims_rope) != self.attention_head_dim:
            raise ValueError("axes_dims_rope should add up to attention_head_dim")
        return self


class PixArtConfig(NetworkConfig):
    """`PixArtTransformer2DModel` of diffusers."""

    sample_size: Annotated[int, Field(ge=1, le=512)] = 128
    patch_size: Annotated[int, Field(ge=1, le=16)] = 2
    in_channels: Annotated[int, Field(ge=1, le=256)] = 4
    out_channels: Annotated[int, Field(ge=1, le=512)] | None = 8
    num_layers: Blocks = 28
    attention_head_dim: Heads = 72
    num_attention_heads: Heads = 16
    cross_attention_dim: Width = 1152
    caption_channels: Width
    num_embeds_ada_norm: Literal[1000] = 1000
    interpolation_scale: Scale | None = None
    use_additional_conditions: bool | None = None
    norm_eps: Epsilon = 1e-6
    dropout: Fraction = 0.0
    activation_fn: Word = "gelu-approximate"

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        width = self.attention_head_dim * self.num_attention_heads
        if self.num_layers * BLOCK_WEIGHTS * width**2 > MAX_WEIGHTS:
            raise ValueError(BUILDABLE)
        if self.cross_attention_dim != width:
            raise ValueError("cross_attention_dim should be the width of all heads")
        told = self.use_additional_conditions
        if (self.sample_size == 128 if told is None else told) and width % 3:
            raise ValueError("the width of all heads should be a multiple of 3")
        return self
