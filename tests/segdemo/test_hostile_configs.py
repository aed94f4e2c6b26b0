"""A config that is absurd is refused in one sentence, before a network is built from it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, LlavaForConditionalGeneration, T5EncoderModel

from segdemo.checkpoints.card import read_card
from segdemo.checkpoints.files import CheckpointError, read_json
from segdemo.checkpoints.loading import load_frozen, load_noise_schedule
from segdemo.compact_autoencoder import CompactAutoencoder
from segdemo.diffdis.loading import load_unet
from segdemo.diffegg.edge_generator import EdgeGenerator
from segdemo.diffegg.features import FeatureLevel
from segdemo.photo_features import PhotoFeatures
from tests.segdemo.diffegg.backbones import FAMILIES
from tests.segdemo.uis.vits import write_llava

Changes = dict[str, Any]
ABSURD = (-1, 0, 10**9, 10**30, 2.5, "64", [], {}, [[1]], True, float("nan"))
"""No size is any of these."""


def wrong_sizes(*fields: str) -> list[Changes]:
    return [{field: value} for field in fields for value in ABSURD]


UNET = [
    *wrong_sizes("in_channels", "out_channels", "norm_num_groups", "sample_size"),
    *wrong_sizes("layers_per_block", "cross_attention_dim", "attention_head_dim"),
    *wrong_sizes("transformer_layers_per_block", "conv_in_kernel"),
    {"block_out_channels": []},
    {"block_out_channels": [8]},
    {"block_out_channels": [8, -8, 8, 8]},
    {"block_out_channels": [10**9] * 4},
    {"block_out_channels": [16_384] * 4},  # each alone could be
    {"block_out_channels": [8] * 100},
    {"block_out_channels": 8},
    {"block_out_channels": [7, 16, 16, 16]},  # no multiple of the groups
    {"layers_per_block": [2, 2]},
    {"layers_per_block": 16, "transformer_layers_per_block": 64},
    {"layers_per_block": 3},  # could be, but is not what the weights are
    {"down_block_types": ["NoSuchBlock"] * 4},
    {"down_block_types": ["DownBlock2D"] * 3},
    {"down_block_types": [None] * 4},
    {"up_block_types": "UpBlock2D"},
    {"mid_block_type": "NoSuchBlock"},
    {"act_fn": "os.system"},
    {"act_fn": ["silu"]},
    {"norm_eps": -1.0},
    {"dropout": 2.0},
    {"time_embedding_type": "fourier"},
    {"class_embed_type": "simple_projection"},
    {"addition_embed_type": "image"},
    {"encoder_hid_dim": 8},
    {"quantization_config": {"quant_method": "bitsandbytes"}},
]
AUTOENCODER = [
    *wrong_sizes("in_channels", "out_channels", "latent_channels", "layers_per_block"),
    *wrong_sizes("norm_num_groups"),
    {"block_out_channels": [10**9] * 4},
    {"block_out_channels": [4, 4]},
    {"down_block_types": ["NoSuchBlock"] * 4},
    {"up_block_types": []},
    {"scaling_factor": 0},
    {"scaling_factor": "0.18"},
    {"scaling_factor": float("inf")},
    {"shift_factor": 10**9},
    {"use_quant_conv": "no"},
    {"act_fn": "nothing"},
    {"_class_name": "AutoencoderTiny"},
]
TRANSFORMER = [
    *wrong_sizes("sample_size", "patch_size", "in_channels", "num_layers", "attention_head_dim"),
    *wrong_sizes("num_attention_heads", "joint_attention_dim", "pooled_projection_dim"),
    *wrong_sizes("pos_embed_max_size", "caption_projection_dim"),
    {"dual_attention_layers": [10**9] * 100},
    {"qk_norm": "nothing"},
    {"num_layers": 3},
]
FLUX = [
    *wrong_sizes("in_channels", "num_layers", "num_single_layers", "attention_head_dim"),
    *wrong_sizes("num_attention_heads", "joint_attention_dim", "pooled_projection_dim"),
    *({"axes_dims_rope": value} for value in ([], [1], [2, 2, 2], [10**9] * 3, "8")),
    {"patch_size": 2},
    {"num_layers": 3},
]
PIXART = [
    *wrong_sizes("sample_size", "patch_size", "in_channels", "num_layers", "attention_head_dim"),
    *wrong_sizes("num_attention_heads", "cross_attention_dim", "caption_channels"),
    {"num_embeds_ada_norm": 10**9},
    {"num_layers": 3},
]
T5 = [
    *wrong_sizes("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "vocab_size"),
    {"feed_forward_proj": "os.system"},
    {"relative_attention_num_buckets": 10**9},
]
LLAVA = [
    *({"text_config": value} for value in (None, [], "llama", {"hidden_size": 10**9})),
    *({"text_config": {"num_hidden_layers": value}} for value in ABSURD),
    *({"text_config": {"num_key_value_heads": value}} for value in ABSURD),
    {"text_config": {"hidden_size": 16_384, "num_hidden_layers": 128}},
    {"vision_config": {"image_size": 10**9}},
    {"vision_feature_select_strategy": "all"},
]
TEXT_ENCODER = [
    *wrong_sizes("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *wrong_sizes("max_position_embeddings", "vocab_size"),
    {"num_attention_heads": 3},
    {"hidden_act": "os.system"},
    {"layer_norm_eps": -1},
    {"quantization_config": {"quant_method": "gptq"}},
]
EDGE_GENERATOR = [
    *wrong_sizes("channels", "size"),
    *({"timestep": value} for value in ABSURD if value != 0),
    {"levels": []},
    {"levels": {}},
    {"levels": [{}]},
    {"levels": [[1]]},
    *({"levels": [{"layers": [], "width": v, "stride": 4.0}]} for v in ABSURD),
    *({"levels": [{"layers": [], "width": 8, "stride": v}]} for v in (0, -4, 1e9, "4", None)),
    {"levels": [{"layers": "mid_block", "width": 8, "stride": 4}]},
    {"levels": [{"layers": [], "width": 8, "stride": 4}] * 100},
]
PHOTO_FEATURES = [
    {field: value}
    for field in ("width", "depth")
    for value in (-1, 0, 10**9, "1", [], None, float("nan"))
]
COMPACT = [
    *wrong_sizes("latent_channels"),
    {"patch_size": 3},
    {"encoder_blocks": [1]},
    {"decoder_blocks": [10**9] * 3},
    {"latent_limit": 0},
]


def save_unet(folder: Path) -> None:
    FAMILIES["sd15"](folder.parent / "whole")
    (folder.parent / "whole" / "unet").rename(folder)


def save_autoencoder(folder: Path) -> None:
    FAMILIES["sd15"](folder.parent / "whole")
    (folder.parent / "whole" / "vae").rename(folder)


def save_text_encoder(folder: Path) -> None:
    FAMILIES["sd15"](folder.parent / "whole")
    (folder.parent / "whole" / "text_encoder").rename(folder)


def save_part(family: str, part: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        FAMILIES[family](folder.parent / "whole")
        (folder.parent / "whole" / part).rename(folder)

    return save


def save_generator(folder: Path) -> None:
    levels = [asdict(FeatureLevel([], 8, 8.0)), asdict(FeatureLevel(["mid_block"], 8, 16.0))]
    EdgeGenerator(levels, channels=8, size=64).save_pretrained(folder)


def save_photo_features(folder: Path) -> None:
    PhotoFeatures(0.1, 0.1).save_pretrained(folder)


def save_compact(folder: Path) -> None:
    CompactAutoencoder(block_out_channels=(8, 8, 8)).save_pretrained(folder)


NETWORKS: dict[str, tuple[Any, Callable[[Path], None], list[Changes]]] = {
    "unet": (UNet2DConditionModel, save_unet, UNET),
    "vae": (AutoencoderKL, save_autoencoder, AUTOENCODER),
    "transformer": (SD3Transformer2DModel, save_part("sd3", "transformer"), TRANSFORMER),
    "flux": (FluxTransformer2DModel, save_part("flux", "transformer"), FLUX),
    "pixart": (PixArtTransformer2DModel, save_part("pixart", "transformer"), PIXART),
    "llava": (LlavaForConditionalGeneration, write_llava, LLAVA),
    "t5": (T5EncoderModel, save_part("pixart", "text_encoder"), T5),
    "text_encoder": (CLIPTextModel, save_text_encoder, TEXT_ENCODER),
    "edge_generator": (EdgeGenerator, save_generator, EDGE_GENERATOR),
    "photo_features": (PhotoFeatures, save_photo_features, PHOTO_FEATURES),
    "compact": (CompactAutoencoder, save_compact, COMPACT),
}
SCHEDULE = [
    *wrong_sizes("num_train_timesteps"),
    *({"beta_start": value} for value in (0, -1, 2, 10**9, "0.1", None, float("nan"))),
    {"beta_end": float("inf")},
    {"beta_schedule": "exponential"},
    {"beta_schedule": 7},
    {"trained_betas": [0.1, 0.2]},
    {"trained_betas": "all"},
    {"prediction_type": "noise"},
    {"rescale_betas_zero_snr": "yes"},
    {"steps_offset": -1},
]
CARD = [
    *wrong_sizes("native_size"),
    *({"noise": value} for value in (-1, 10**9, "1", None, [], float("nan"))),
    *({"name": value} for value in (None, 5, [], "x" * 10**6)),
    {"licence": {}},
    {"base": 5},
    {"base": "x" * 10**6},
    {"quality": []},
    {"quality": {"iou": {"davis": "high"}}},
    {"quality": {"iou": 5}},
    {"training": "long"},
    *({"segment": value} for value in ([], "follow", {"size": 8}, {"follow": 1})),
    *({"trace": value} for value in ([], {"rank": 8}, {"size": 10**9}, {"size": "8"})),
    {"trace": {"fixed_timestep": 5000}},
    {"trace": {"fixed_timestep": None}},
]


def accepted(
    load: Callable[[], object], file: Path, table: list[Changes]
) -> Iterator[tuple[Changes, str]]:
    """Write each change into a JSON and load it; yields what was not refused in a sentence."""
    before = json.loads(file.read_text())
    for changes in table:
        file.write_text(json.dumps(before | changes))
        start = time.process_time()
        try:
            load()
            yield changes, "accepted"
        except CheckpointError as error:
            sentence = str(error)
            if "\n" in sentence or file.parent.name not in sentence or len(sentence) > 1000:
                yield changes, sentence
        if time.process_time() - start > 1:
            yield changes, "took more than a second"
    file.write_text(json.dumps(before))


@pytest.mark.parametrize("part", NETWORKS)
def test_networks(part: str, tmp_path: Path) -> None:
    kind, save, table = NETWORKS[part]
    (tmp_path / "whole").mkdir()
    folder = tmp_path / part
    save(folder)

    def load() -> object:
        return load_frozen(kind, folder, torch.float32)

    load()
    assert list(accepted(load, folder / "config.json", table)) == []
    load()  # all of it was the changes'


def test_a_mask_network(tiny_diffdis_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_diffdis_folder / "unet", tmp_path / "unet")
    table = [
        *UNET,
        {"interaction": "friendship"},
        {"photo_widths": [8]},
        {"photo_widths": [10**9] * 4},
        {"photo_widths": "wide"},
    ]
    # its network never sees the text width of a list or a size of the samples
    table = [entry for entry in table if entry.keys() != {"sample_size"}]
    load_unet(folder)
    assert list(accepted(lambda: load_unet(folder), folder / "config.json", table)) == []


def test_schedules(tmp_path: Path) -> None:
    file = tmp_path / "scheduler" / "scheduler_config.json"
    file.parent.mkdir()
    file.write_text("{}")
    load_noise_schedule(read_json(file), file)
    refused = accepted(lambda: load_noise_schedule(read_json(file), file), file, SCHEDULE)
    assert list(refused) == []


def test_cards(tiny_diffdis_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "model" / "segdemo.json"
    file.parent.mkdir()
    shutil.copy(tiny_diffdis_folder / "segdemo.json", file)
    assert read_card(file.parent, "model").name == "tiny"
    assert list(accepted(lambda: read_card(file.parent, "model"), file, CARD)) == []


def test_a_message_names_file_field_and_value(tmp_path: Path) -> None:
    file = tmp_path / "segdemo.json"
    file.write_text(json.dumps({"name": "a", "licence": "MIT", "native_size": 10**9}))
    with pytest.raises(CheckpointError) as error:
        read_card(tmp_path, "model")
    assert str(error.value) == (
        f"{file}: 'native_size' is 1000000000, but input should be less than or equal to 4096: "
        "correct it, or copy or download the file again."
    )


@pytest.mark.parametrize("content", ["[" * 100_000, "{" * 100_000, "null", "\x00", "NaN", ""])
def test_json_that_is_no_object(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_json(tmp_path / "config.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no FIFOs")
def test_a_pipe_in_a_checkpoint_is_refused(tmp_path: Path) -> None:
    save_photo_features(tmp_path / "net")
    os.mkfifo(tmp_path / "net" / "notes.json")
    with pytest.raises(CheckpointError, match=r"notes\.json is not a regular file"):
        load_frozen(PhotoFeatures, tmp_path / "net", torch.float32)
    (tmp_path / "net" / "notes.json").unlink()
    (tmp_path / "net" / "config.json").unlink()
    (tmp_path / "net" / "config.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"config\.json is not a regular file"):
        load_frozen(PhotoFeatures, tmp_path / "net", torch.float32)
