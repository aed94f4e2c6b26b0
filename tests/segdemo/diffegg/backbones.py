"""Tiny text-to-image models of the real classes, written to disk as their users have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    PNDMScheduler,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.diffegg.backbones.base import Backbone

LATENT_SIDE = 16
NATIVE_SIZE = 128  # 8 pixels a latent
TEXT_WIDTH = 16
TOKENS = 77
T5_WIDTH = 24
T5_PIECES = ("<pad>", "</s>", "<unk>", *"▁abcdefghijklmnopqrstuvwxyz")
SD_BETAS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}


def write_own(folder: Path) -> None:
    """Our own format; attention below full resolution only, as in the shipped small model."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(1, 2, 2),
        norm_num_groups=4,
        use_linear_projection=True,
    )
    unet.save_pretrained(folder / "prior")
    _autoencoder(4).save_pretrained(folder / "vae")
    DDPMScheduler(**SD_BETAS, prediction_type="v_prediction").save_pretrained(folder / "scheduler")
    save_file({"null_text": torch.ones(1, 2, TEXT_WIDTH)}, folder / "null_text.safetensors")
    card = ModelCard("tiny", "MIT", native_size=NATIVE_SIZE, base=None)
    write_card(card, folder)


def write_sd15(folder: Path) -> None:
    """Stable Diffusion 1.5: all its layers, narrow; the index names a safety checker."""
    _write_stable_diffusion(folder, PNDMScheduler(**SD_BETAS, skip_prk_steps=True), {})


def write_sd21(folder: Path) -> None:
    """Stable Diffusion 2.1: linear projections, heads that grow, velocity prediction."""
    changes = {"use_linear_projection": True, "attention_head_dim": (1, 2, 4, 4)}
    scheduler = EulerDiscreteScheduler(**SD_BETAS, prediction_type="v_prediction")
    _write_stable_diffusion(folder, scheduler, changes)


def write_sdxl(folder: Path) -> None:
    """Stable Diffusion XL: two text encoders, added sizes, no attention at full resolution."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=2 * TEXT_WIDTH,
        attention_head_dim=(1, 2, 4),
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + TEXT_WIDTH,
    )
    parts = {
        "unet": unet,
        "vae": _autoencoder(4),
        "text_encoder": CLIPTextModel(_text_config()),
        "text_encoder_2": CLIPTextModelWithProjection(_text_config()),
        "scheduler": EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="leading"),
    }
    _save_parts(folder, parts, ("tokenizer", "tokenizer_2"))
    _write_index(folder, "StableDiffusionXLPipeline", parts, force_zeros_for_empty_prompt=True)


def write_sd3(folder: Path) -> None:
    """Stable Diffusion 3.5: two blocks, one with dual attention; T5 named but not there."""
    transformer = SD3Transformer2DModel(
        sample_size=LATENT_SIDE,
        patch_size=2,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=3 * TEXT_WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * TEXT_WIDTH,
        out_channels=16,
        pos_embed_max_size=LATENT_SIDE,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    parts = {
        "transformer": transformer,
        "vae": _autoencoder(16, scaling_factor=1.5305, shift_factor=0.0609),
        "text_encoder": CLIPTextModelWithProjection(_text_config()),
        "text_encoder_2": CLIPTextModelWithProjection(_text_config()),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    _save_parts(folder, parts, ("tokenizer", "tokenizer_2"))
    absent = {
        "text_encoder_3": ["transformers", "T5EncoderModel"],
        "tokenizer_3": ["transformers", "T5TokenizerFast"],
    }
    _write_index(folder, "StableDiffusion3Pipeline", parts, **absent)


def write_pixart(folder: Path) -> None:
    """PixArt-alpha: self-attention of the image alone, T5, a variance beside the noise."""
    transformer = PixArtTransformer2DModel(
        sample_size=LATENT_SIDE,
        num_layers=2,
        attention_head_dim=12,
        num_attention_heads=2,
        cross_attention_dim=24,
        caption_channels=T5_WIDTH,
        use_additional_conditions=True,  # as that of 1024 pixels
    )
    parts = {
        "transformer": transformer,
        "vae": _autoencoder(4),
        "text_encoder": _t5(),
        "scheduler": DDPMScheduler(beta_end=0.02),
    }
    _save_parts(folder, parts, ())
    _write_t5_tokenizer(folder / "tokenizer")
    _write_index(folder, "PixArtAlphaPipeline", parts)


def write_flux(folder: Path) -> None:
    """FLUX.1 dev: a block of two streams and two of one, told its guidance."""
    transformer = FluxTransformer2DModel(
        in_channels=4 * 16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    parts = {
        "transformer": transformer,
        "vae": _autoencoder(16, scaling_factor=0.3611, shift_factor=0.1159),
        "text_encoder": CLIPTextModel(_text_config()),
        "text_encoder_2": _t5(),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    _save_parts(folder, parts, ("tokenizer",))
    _write_t5_tokenizer(folder / "tokenizer_2")
    _write_index(folder, "FluxPipeline", parts)


def add_t5(folder: Path) -> None:
    """Give a tiny Stable Diffusion 3 the third encoder that its index names."""
    _t5(3 * TEXT_WIDTH).save_pretrained(folder / "text_encoder_3")
    _write_t5_tokenizer(folder / "tokenizer_3")


FAMILIES: dict[str, Callable[[Path], None]] = {
    "own": write_own,
    "sd15": write_sd15,
    "sd21": write_sd21,
    "sdxl": write_sdxl,
    "sd3": write_sd3,
    "pixart": write_pixart,
    "flux": write_flux,
}
"""By family: writes a model with random weights into an existing folder."""


def latents_like(backbone: Backbone, count: int = 2) -> torch.Tensor:
    """Return random latents of a backbone's channels, the same every time."""
    channels = backbone.autoencoder.config.latent_channels
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, channels, LATENT_SIDE, LATENT_SIDE, generator=generator)


def edit_json(file: Path, **changes: object) -> None:
    """Change entries of a JSON object in its file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _write_stable_diffusion(folder: Path, scheduler: Any, changes: dict[str, Any]) -> None:
    settings = {
        "sample_size": LATENT_SIDE,
        "block_out_channels": (8, 16, 16, 16),
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    parts = {
        "unet": UNet2DConditionModel(**settings | changes),
        "vae": _autoencoder(4),
        "text_encoder": CLIPTextModel(_text_config()),
        "scheduler": scheduler,
    }
    _save_parts(folder, parts, ("tokenizer",))
    absent = {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    _write_index(folder, "StableDiffusionPipeline", parts, **absent)


def _autoencoder(channels: int, **settings: Any) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        **settings,
    )


def _text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=_vocabulary()["<|startoftext|>"],
        eos_token_id=_vocabulary()["<|endoftext|>"],
    )


def _t5(width: int = T5_WIDTH) -> T5EncoderModel:
    shape = {"d_model": width, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2}
    return T5EncoderModel(T5Config(vocab_size=len(T5_PIECES), **shape))


def _write_t5_tokenizer(folder: Path) -> None:
    T5TokenizerFast(
        vocab=[(piece, -1.0) for piece in T5_PIECES], extra_ids=0, model_max_length=512
    ).save_pretrained(folder)


def _vocabulary() -> dict[str, int]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "ab</w>"]
    return {
        word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])
    }


def _save_parts(folder: Path, parts: dict[str, Any], tokenizers: tuple[str, ...]) -> None:
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    for name in tokenizers:
        _write_tokenizer(folder / name)


def _write_tokenizer(folder: Path) -> None:
    """Write the two files of CLIP's tokenizer and its settings, as on the Hub."""
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(_vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    names |= {"unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(names))
    settings = names | {"model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _write_index(folder: Path, pipeline: str, parts: dict[str, Any], **more: Any) -> None:
    """Write model_index.json; `more` holds settings and parts that are named but not there."""
    index = {"_class_name": pipeline, "_diffusers_version": "0.42.1"}
    for name, part in parts.items():
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    for tokenizer in folder.glob("tokenizer*"):
        kind = "CLIPTokenizer" if (tokenizer / "merges.txt").exists() else "T5TokenizerFast"
        index[tokenizer.name] = ["transformers", kind]
    (folder / "model_index.json").write_text(json.dumps(index | more))
