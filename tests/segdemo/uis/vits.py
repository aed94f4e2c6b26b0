"""Tiny vision transformers of the real classes, written to disk as their users have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTModel,
)

PATCH, WIDTH, REGISTERS = 8, 24, 4
SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": PATCH,
}


def write_vit(folder: Path, kind: str = "vit") -> Any:
    """Save a ViT of a model_type with random weights and patches of 8; returns it."""
    torch.manual_seed(0)
    network = _network(kind).eval()
    for parameter in network.parameters():  # as initialised, all pictures look nearly the same
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return network


def write_llava(folder: Path) -> Any:
    """Save a LLaVA of three layers, whose heads share their keys, with its tokenizer."""
    words = ["<unk>", "<image>", "USER:", "Describe", "this", "image", "ASSISTANT:"]
    whole = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole, unk_token="<unk>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": WIDTH, "num_hidden_layers": 3, "intermediate_size": 32}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    text = LlamaConfig(**shape, **heads, vocab_size=len(words), pad_token_id=0)
    vision = CLIPVisionConfig(**SHAPE, intermediate_size=32)
    torch.manual_seed(0)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=1)
    network = LlavaForConditionalGeneration(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return network


def _network(kind: str) -> Any:
    if kind == "vit":  # without a pooling layer, as DINO's
        return ViTModel(ViTConfig(**SHAPE, intermediate_size=32), add_pooling_layer=False)
    if kind == "dinov2":
        return Dinov2Model(Dinov2Config(**SHAPE, mlp_ratio=2))
    if kind in ("clip", "siglip"):  # whole, with the part for text
        small = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}
        text = small | {"intermediate_size": 8, "vocab_size": 9, "projection_size": 8}
        model, config = (CLIPModel, CLIPConfig) if kind == "clip" else (SiglipModel, SiglipConfig)
        vision = SHAPE | {"intermediate_size": 32}
        return model(config(text_config=text, vision_config=vision, projection_dim=8))
    shape = SHAPE | {"mlp_ratio": 2, "num_register_tokens": REGISTERS}
    return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**shape))
