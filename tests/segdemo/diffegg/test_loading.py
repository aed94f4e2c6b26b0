"""Backbones open from folders as their users have them, or say in a sentence why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, DiffusionPipeline
from safetensors.torch import load_file, save_file

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.checkpoints.files import CheckpointError
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.backbones.flux import FluxBackbone
from segdemo.diffegg.loading import load_backbone
from tests.segdemo.diffegg.backbones import (
    NATIVE_SIZE,
    SD_BETAS,
    TEXT_WIDTH,
    edit_json,
    latents_like,
)

CPU = torch.device("cpu")
FolderOf = Callable[[str], Path]
BackboneOf = Callable[[str], Backbone]
WEIGHTS = "diffusion_pytorch_model.safetensors"


# What a folder says about itself ------------------------------------------------------------------


def test_the_native_size_is_known_before_the_weights_are_loaded(
    backbone: Backbone, backbone_folder: FolderOf
) -> None:
    # FLUX's config does not say it: its pipeline takes 1024
    assert backbone.native_size == (1024 if isinstance(backbone, FluxBackbone) else NATIVE_SIZE)
    assert locate_backbone(str(backbone_folder("sd15"))).native_size == NATIVE_SIZE


def test_the_licence_is_the_one_that_the_readme_states(backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd3")
    assert "not stated" in locate_backbone(str(folder)).licence
    head = "---\nlicense: other\nlicense_name: stabilityai-ai-community\n---\nText\n"
    (folder / "README.md").write_text(head)
    assert locate_backbone(str(folder)).licence == "stabilityai-ai-community"
    assert locate_backbone(str(folder.parent / "sd3")).name == str(folder)


def test_our_own_folder_says_size_and_licence_in_its_card(backbone_folder: FolderOf) -> None:
    files = locate_backbone(str(backbone_folder("own")))
    assert (files.family, files.native_size, files.licence) == ("segdemo", NATIVE_SIZE, "MIT")


# What diffusers itself saves ----------------------------------------------------------------------


@torch.inference_mode()
def test_a_folder_saved_by_a_pipeline_opens(
    backbone_folder: FolderOf, backbone_of: BackboneOf, tmp_path: Path
) -> None:
    pipeline = DiffusionPipeline.from_pretrained(
        backbone_folder("sd21"), safety_checker=None, feature_extractor=None
    )
    pipeline.save_pretrained(tmp_path, max_shard_size="50KB")
    assert (tmp_path / "unet" / f"{WEIGHTS}.index.json").exists()
    noisy = latents_like(backbone_of("sd21"))

    saved = load_backbone(locate_backbone(str(tmp_path)), CPU)

    assert torch.equal(saved.predict(noisy, 399), backbone_of("sd21").predict(noisy, 399))


@torch.inference_mode()
def test_a_pixart_opens_under_the_name_that_its_network_had_on_the_hub(
    backbone_copy: FolderOf, backbone_of: BackboneOf
) -> None:
    folder, former = backbone_copy("pixart"), "Transformer2DModel"
    edit_json(folder / "transformer" / "config.json", _class_name=former)
    edit_json(folder / "model_index.json", transformer=["diffusers", former])
    noisy = latents_like(backbone_of("pixart"))
    opened = load_backbone(locate_backbone(str(folder)), CPU)
    assert torch.equal(opened.predict(noisy, 399), backbone_of("pixart").predict(noisy, 399))


# Sentences ----------------------------------------------------------------------------------------


def complaint(source: Path | str) -> str:
    """Open a backbone and return the one sentence it fails with."""
    with pytest.raises(CheckpointError) as error:
        load_backbone(locate_backbone(str(source)), CPU)
    sentence = str(error.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_a_name_that_is_nothing() -> None:
    assert complaint("smal") == (
        "No backbone 'smal': give one of small, small-imagenet, a folder, a .safetensors file or a "
        "Hub id."
    )


def test_a_folder_without_a_network(tmp_path: Path) -> None:
    assert "it has neither unet/, transformer/ nor prior/" in complaint(tmp_path)


def test_a_mask_network_alone(tiny_diffdis_folder: Path) -> None:
    sentence = complaint(tiny_diffdis_folder)
    assert "it has neither model_index.json nor prior/" in sentence


def test_a_single_file(tmp_path: Path) -> None:
    file = tmp_path / "sd.safetensors"
    save_file({"weight": torch.zeros(1)}, file)
    assert "from_single_file(FILE).save_pretrained(FOLDER)" in complaint(file)


def test_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "sd.ckpt").write_bytes(b"")
    assert "is a pickle" in complaint(tmp_path / "sd.ckpt")


def test_a_pipeline_of_another_kind(backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    edit_json(folder / "model_index.json", _class_name="WanPipeline")
    assert complaint(folder) == (
        f"{folder} is a WanPipeline: only StableDiffusionPipeline, StableDiffusionXLPipeline, "
        "StableDiffusion3Pipeline, PixArtAlphaPipeline, FluxPipeline can be opened here."
    )


@pytest.mark.parametrize("content", ["{", "[]"])
def test_an_index_that_is_damaged(content: str, backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    (folder / "model_index.json").write_text(content)
    assert f"{folder / 'model_index.json'}" in complaint(folder)


@pytest.mark.parametrize(
    "file", [f"unet/{WEIGHTS}", f"vae/{WEIGHTS}", "text_encoder/model.safetensors"]
)
def test_missing_weights(file: str, backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    (folder / file).unlink()
    assert f"{folder / file} is missing" in complaint(folder)


def test_pickled_weights_only(backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    (folder / "unet" / WEIGHTS).rename(folder / "unet" / "diffusion_pytorch_model.bin")
    sentence = complaint(folder)
    assert "diffusion_pytorch_model.bin is a pickle" in sentence and ".safetensors" in sentence


@pytest.mark.parametrize(("family", "part"), [("own", "prior"), ("sd3", "transformer")])
def test_nan_in_the_weights_is_named(family: str, part: str, backbone_copy: FolderOf) -> None:
    folder = backbone_copy(family)
    weights = load_file(folder / part / WEIGHTS)
    name = sorted(weights)[3]
    weights[name] = weights[name].clone()
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, folder / part / WEIGHTS, metadata={"format": "pt"})
    assert f"{folder / part}: {name!r} holds NaN" in complaint(folder)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (f"unet/{WEIGHTS}", "conv_in.bias"),
        (f"vae/{WEIGHTS}", "quant_conv.bias"),
        # filled with random numbers, it would make another empty prompt every time
        ("text_encoder/model.safetensors", "final_layer_norm.bias"),
    ],
)
def test_incomplete_weights_are_named(file: str, name: str, backbone_copy: FolderOf) -> None:
    file_of_copy = backbone_copy("sd15") / file
    weights = load_file(file_of_copy)
    del weights[name]
    save_file(weights, file_of_copy, metadata={"format": "pt"})
    assert f"lacks {name!r} and 0 more" in complaint(file_of_copy.parents[1])


def test_text_encoders_under_their_names_on_the_hub(
    backbone_copy: FolderOf, backbone_of: BackboneOf
) -> None:
    folder = backbone_copy("sd15")
    file = folder / "text_encoder" / "model.safetensors"
    renamed = {f"text_model.{name}": tensor for name, tensor in load_file(file).items()}
    save_file(renamed, file, metadata={"format": "pt"})
    noisy = latents_like(backbone_of("sd15"))

    opened = load_backbone(locate_backbone(str(folder)), CPU)

    with torch.inference_mode():
        assert torch.equal(opened.predict(noisy, 399), backbone_of("sd15").predict(noisy, 399))


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_truncated_weights(part: str, backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    file = folder / part / WEIGHTS
    file.write_bytes(file.read_bytes()[:2000])
    assert f"{folder / part} cannot be loaded" in complaint(folder)


def test_a_size_that_is_not_stated(backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    edit_json(folder / "unet" / "config.json", sample_size=None)
    assert "does not say its size" in complaint(folder)


def test_a_network_for_other_latents(backbone_copy: FolderOf, backbone_folder: FolderOf) -> None:
    folder = backbone_copy("sd15")
    (folder / "vae").rename(folder / "old")
    (folder / "vae").symlink_to(backbone_folder("sd3") / "vae")
    assert "takes 4 channels, the autoencoder beside it makes 16" in complaint(folder)


def test_a_tokenizer_that_is_gone(backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    assert "The tokenizer in" in complaint(folder)


@pytest.mark.parametrize("change", ["no file", "no entry", "other width"])
def test_our_own_folder_without_its_prompt(change: str, backbone_copy: FolderOf) -> None:
    folder = backbone_copy("own")
    file = folder / "null_text.safetensors"
    file.unlink()
    if change == "no entry":
        save_file({"text": torch.zeros(1, 2, TEXT_WIDTH)}, file)
    if change == "other width":
        save_file({"null_text": torch.zeros(1, 2, 5)}, file)
    sentence = complaint(folder)
    expected = {"no file": "is missing", "no entry": "no 'null_text'"}
    assert expected.get(change, "needs (1, n, 16)") in sentence


@pytest.mark.parametrize(
    "change", [{"_class_name": "FlowMatchEulerDiscreteScheduler"}, {"num_train_timesteps": 500}]
)
def test_a_unet_with_a_foreign_schedule(change: dict[str, object], backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15")
    settings = DDPMScheduler(**SD_BETAS).config | change
    if "_class_name" in change:
        settings = {key: settings[key] for key in settings if not key.startswith("beta")}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(settings))
    assert "a U-Net needs a schedule of 1000 betas" in complaint(folder)
