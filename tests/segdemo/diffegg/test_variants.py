"""Weights are found as their owners have them: variants, shards, folders of the Hub's cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.files import CheckpointError
from segdemo.checkpoints.locate import locate
from segdemo.diffdis.loading import load_diffdis
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.loading import load_backbone
from tests.segdemo.diffegg.backbones import latents_like

CPU = torch.device("cpu")
FolderOf = Callable[[str], Path]
BackboneOf = Callable[[str], Backbone]


def rename_weights(folder: Path, variant: str) -> None:
    """Give all weights of a folder the names of a variant."""
    for file in list(folder.rglob("*.safetensors")):
        if file.stem != "null_text":
            file.rename(file.with_name(f"{file.stem}.{variant}.safetensors"))


@pytest.mark.parametrize("shards", ["10GB", "20KB"])
@torch.inference_mode()
def test_a_folder_that_has_only_fp16(
    shards: str, backbone_folder: FolderOf, backbone_of: BackboneOf, tmp_path: Path
) -> None:
    pipeline = DiffusionPipeline.from_pretrained(
        backbone_folder("sd15"), safety_checker=None, feature_extractor=None
    ).to(torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16", max_shard_size=shards)
    assert not list(tmp_path.rglob("*model.safetensors"))
    opened, expected = load_backbone(locate_backbone(str(tmp_path)), CPU), backbone_of("sd15")
    assert opened.network.dtype == torch.float32
    noisy = latents_like(expected)
    torch.testing.assert_close(
        opened.predict(noisy, 399), expected.predict(noisy, 399), atol=0.01, rtol=0.01
    )


@torch.inference_mode()
def test_other_variants_are_taken_where_the_plain_files_lack(
    backbone_copy: FolderOf, backbone_of: BackboneOf
) -> None:
    folder = backbone_copy("sd15")
    rename_weights(folder, "non_ema")
    rename_weights(folder / "vae", "pruned")  # diffusion_pytorch_model.non_ema.pruned
    for file in (folder / "vae").glob("*.pruned.safetensors"):
        file.rename(file.with_name("diffusion_pytorch_model.pruned.safetensors"))
    # a half that is not whole does not matter where the whole is
    (folder / "unet" / "diffusion_pytorch_model.ema.safetensors").write_bytes(b"nonsense")
    opened, expected = load_backbone(locate_backbone(str(folder)), CPU), backbone_of("sd15")
    noisy = latents_like(expected)
    assert torch.equal(opened.predict(noisy, 399), expected.predict(noisy, 399))


def test_a_mask_model_that_has_only_fp16(tiny_diffdis_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_diffdis_folder, tmp_path / "model")
    rename_weights(folder, "fp16")
    opened = load_diffdis(locate_diffdis(str(folder)), CPU)
    whole = load_diffdis(locate_diffdis(str(tiny_diffdis_folder)), CPU)
    name, weight = next(opened.unet.named_parameters())
    assert torch.equal(weight, dict(whole.unet.named_parameters())[name])


@pytest.mark.parametrize("name", ["../../vae/stolen.safetensors", "/etc/passwd", "weights.bin", ""])
def test_an_index_names_only_safetensors_beside_it(name: str, backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd15") / "unet"
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    index = folder / "diffusion_pytorch_model.safetensors.index.fp16.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.bias": name}}))
    with pytest.raises(CheckpointError, match=r"index\.fp16\.json names"):
        locate_backbone(str(folder.parent))


def test_a_folder_of_the_hubs_cache(backbone_folder: FolderOf, tmp_path: Path) -> None:
    kept = tmp_path / "models--acme--tiny"
    first = shutil.copytree(backbone_folder("sd15"), kept / "snapshots" / "abc")
    assert locate_backbone(str(kept)).folder == first
    second = shutil.copytree(backbone_folder("sd15"), kept / "snapshots" / "def")
    with pytest.raises(CheckpointError, match="these snapshots: abc, def"):
        locate(str(kept), "diffdis")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("def")
    assert locate(str(kept), "features") == second
    shutil.rmtree(kept / "snapshots")
    (kept / "snapshots").mkdir()
    with pytest.raises(CheckpointError, match="these snapshots: none"):
        locate_backbone(str(kept))
