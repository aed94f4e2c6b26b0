"""Single files of a whole text-to-image model open with the settings of their kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from segdemo.checkpoints.backbone import SINGLE_FILES, locate_backbone
from segdemo.checkpoints.files import CheckpointError
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.loading import load_backbone
from tests.segdemo.diffegg.backbones import NATIVE_SIZE, latents_like
from tests.segdemo.diffegg.original_names import write_single_file

CPU = torch.device("cpu")
REPOSITORY = SINGLE_FILES[-1][2]


@pytest.fixture
def single_file(backbone_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """Write Stable Diffusion 1.5, tiny, as one file."""
    write_single_file(backbone_folder("sd15"), tmp_path / "v1-5.safetensors")
    return tmp_path / "v1-5.safetensors"


@pytest.fixture
def cache(
    backbone_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put the settings of the tiny model into a cache of the Hub, under the real one's name."""
    kept = tmp_path / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    no_weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(backbone_folder("sd15"), kept / "snapshots" / "abc", ignore=no_weights)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("cache")
@torch.inference_mode()
def test_a_single_file_is_the_model_that_was_written(
    single_file: Path, backbone_of: Callable[[str], Backbone]
) -> None:
    files = locate_backbone(str(single_file))
    assert (files.native_size, files.licence) == (NATIVE_SIZE, "licence not stated in its file")
    opened, expected = load_backbone(files, CPU), backbone_of("sd15")
    noisy, images = latents_like(expected), torch.rand(1, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(opened.predict(noisy, 399), expected.predict(noisy, 399))
    torch.testing.assert_close(opened.encode(images), expected.encode(images))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("part", ["model.diffusion_model.out", "first_stage", "cond_stage_model"])
def test_a_file_that_lacks_weights_is_refused(single_file: Path, part: str) -> None:
    weights = load_file(single_file)
    save_file({n: v for n, v in weights.items() if not n.startswith(part)}, single_file)
    with pytest.raises(CheckpointError, match=r"v1-5\.safetensors (lacks|cannot be loaded)"):
        load_backbone(locate_backbone(str(single_file)), CPU)


def test_without_the_settings_the_way_out_is_named(
    single_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(CheckpointError) as error:
        locate_backbone(str(single_file))
    assert f"single file, whose settings are those of {REPOSITORY}: connect" in str(error.value)
    assert "from_single_file(FILE).save_pretrained(FOLDER)" in str(error.value)


@pytest.mark.parametrize(
    "name", ["model.diffusion_model.conv_in.weight", "lora_unet_mid_block.lora_up.weight"]
)
def test_a_file_of_something_else_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / "v1-5.safetensors"
    save_file({name: torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="does not hold a whole text-to-image model"):
        locate_backbone(str(file))


def test_a_pickle_is_refused_with_the_call_that_makes_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sd.ckpt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(CheckpointError) as error:
        locate_backbone(str(tmp_path / "sd.ckpt"))
    assert "is a pickle" in str(error.value)
    assert "from_single_file(FILE).save_pretrained(FOLDER)" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02" + 7 * b"\0" + b"[]", b"\x05{}"])
def test_a_file_with_a_damaged_header(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sd.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        locate_backbone(str(tmp_path / "sd.safetensors"))
