"""Schemas of the configs of what reads text or images, as transformers writes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segdemo.checkpoints.config_types import (
    BUILDABLE,
    MAX_WEIGHTS,
    Blocks,
    Epsilon,
    Fraction,
    Heads,
    NetworkConfig,
    Side,
    Width,
    Word,
)


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
