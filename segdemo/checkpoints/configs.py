"""Schemas of the files that networks are built from: what is absurd is refused before building.

Libraries build what a config says, without end where it says so. Only entries that set how much is
built, or that have to fit the rest of this project, are listed; the libraries check the others.
Limits lie several times above the largest published model of each kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from segdemo.checkpoints.files import CheckpointError, read_json
from segdemo.checkpoints.schema import Schema, validated

Word = Annotated[str, Field(max_length=100)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=8)]
Types = Annotated[list[Word], Field(min_length=1, max_length=8)]
Count = Annotated[int, Field(ge=1, le=16)]
Counts = Annotated[list[Count], Field(min_length=1, max_length=8)]
Heads = Annotated[int, Field(ge=1, le=512)]
Blocks = Annotated[int, Field(ge=1, le=64)]
Kernel = Annotated[int, Field(ge=1, le=31)]
Epsilon = Annotated[float, Field(gt=0, le=0.1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=1000)]
Side = Annotated[int, Field(ge=1, le=4096)]

MAX_BLOCKS = 512  # residual and transformer blocks of a U-Net; Stable Diffusion XL has about 80
MAX_WEIGHTS = 30_000_000_000  # of a network; Stable Diffusion 3.5 Large has 8 billion
BLOCK_WEIGHTS = 30  # of a block of width 1, about: they grow with the square of the width
BUILDABLE = "its layers and channels should be those of a network that can be built"


class NetworkConfig(Schema):
    """What all configs share."""

    quantization_config: None = None  # would need packages that are not here


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


class CompactAutoencoderConfig(NetworkConfig):
    """`segdemo.compact_autoencoder`."""

    patch_size: Literal[1, 2, 4, 8, 16] = 2
    latent_channels: Annotated[int, Field(ge=1, le=256)] = 16
    block_out_channels: Widths = Field(default=[64, 64, 64])
    encoder_blocks: Counts = Field(default=[1, 2, 2])
    decoder_blocks: Counts = Field(default=[1, 2, 2])
    latent_limit: Scale = 3.0
    scaling_factor: Scale = 1.0


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


class T5Config(NetworkConfig):
    """T5's encoder of transformers."""

    d_model: Width = 512
    d_kv: Heads = 64
    d_ff: Annotated[int, Field(ge=1, le=65_536)] = 2048
    num_layers: Blocks = 6
    num_heads: Heads = 8
    vocab_size: Annotated[int, Field(ge=1, le=1_000_000)] = 32_128
    relative_attention_num_buckets: Annotated[int, Field(ge=1, le=1024)] = 32
    dropout_rate: Fraction = 0.1
    layer_norm_epsilon: Epsilon = 1e-6
    feed_forward_proj: Literal["relu", "gated-gelu"] = "relu"


class TextEncoderConfig(NetworkConfig):
    """CLIP's text encoder of transformers."""

    hidden_size: Width = 512
    intermediate_size: Annotated[int, Field(ge=1, le=65_536)] = 2048
    projection_dim: Width = 512
    num_hidden_layers: Blocks = 12
    num_attention_heads: Heads = 8
    max_position_embeddings: Annotated[int, Field(ge=2, le=8192)] = 77
    vocab_size: Annotated[int, Field(ge=1, le=1_000_000)] = 49_408
    hidden_act: Word = "quick_gelu"
    layer_norm_eps: Epsilon = 1e-5
    attention_dropout: Fraction = 0.0


class VisionTransformerConfig(NetworkConfig):
    """`ViTModel` of transformers, and DINOv2's, whose blocks say `mlp_ratio`."""

    hidden_size: Width = 768
    intermediate_size: Annotated[int, Field(ge=1, le=65_536)] = 3072
    num_hidden_layers: Blocks = 12
    num_attention_heads: Heads = 12
    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] = 224
    patch_size: Annotated[int, Field(ge=1, le=256)] = 16
    num_channels: Literal[3] = 3
    mlp_ratio: Annotated[float, Field(gt=0, le=16)] = 4
    num_register_tokens: Annotated[int, Field(ge=0, le=64)] = 0
    hidden_act: Word = "gelu"
    layer_norm_eps: Epsilon = 1e-12


class LanguageConfig(NetworkConfig):
    """The part of `LlavaConfig` that says its language model; defaults as Llama's."""

    hidden_size: Width = 4096
    intermediate_size: Annotated[int, Field(ge=1, le=65_536)] = 11_008
    num_hidden_layers: Annotated[int, Field(ge=1, le=128)] = 32
    num_attention_heads: Heads = 32
    num_key_value_heads: Heads | None = None
    vocab_size: Annotated[int, Field(ge=1, le=1_000_000)] = 32_000

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        block = 4 * self.hidden_size**2 + 3 * self.hidden_size * self.intermediate_size
        if self.num_hidden_layers * block > MAX_WEIGHTS:
            raise ValueError(BUILDABLE)
        return self


class LlavaConfig(NetworkConfig):
    """`LlavaForConditionalGeneration` of transformers."""

    vision_config: VisionTransformerConfig
    text_config: LanguageConfig
    vision_feature_select_strategy: Literal["default", "full"] = "default"


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


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """Read and check the config.json of a network of a class; raises CheckpointError."""
    file = folder / "config.json"
    content = read_json(file)
    named = content.get("_class_name", kind)
    if named != kind and "UNet" not in f"{named}":  # DiffDIS' own was saved under several names
        raise CheckpointError(f"{file} describes a {named!r}, where a {kind} is needed.")
    validated(SCHEMAS[kind], content, file)
    return content
