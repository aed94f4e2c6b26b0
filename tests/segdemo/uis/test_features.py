"""Keys of a real ViT, loaded from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import ViTModel

from segdemo.checkpoints.files import CheckpointError
from segdemo.uis.features import load_features
from tests.segdemo.uis.vits import PATCH, REGISTERS, WIDTH, write_vit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ViTModel]:
    folder = tmp_path_factory.mktemp("vit")
    return folder, write_vit(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_vit(tmp_path)
    return tmp_path


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)


def last_keys(network: Any, photo: np.ndarray, side: int) -> np.ndarray:
    """Run the layers one by one and project to keys by hand, (tokens, width)."""
    vit = isinstance(network, ViTModel)
    layers = network.layers if vit else network.encoder.layer
    small = Image.fromarray(photo).resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(small) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    batch = torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.no_grad():
        options = {"interpolate_pos_encoding": True} if vit else {}
        states = network.embeddings(batch, **options)
        for layer in layers[:-1]:
            states = layer(states)
        norm = layers[-1].layernorm_before if vit else layers[-1].norm1
        projection = layers[-1].attention.k_proj
        keys = norm(states) @ projection.weight.T + projection.bias
    return keys[0].numpy()


@pytest.mark.parametrize("side", [32, 56])  # its own, and one that needs interpolated positions
def test_keys_are_those_of_the_last_layer(
    vit: tuple[Path, ViTModel], photo: np.ndarray, side: int
) -> None:
    keys = load_features(str(vit[0]), CPU).keys(photo, side)
    patches = side // PATCH
    assert keys.shape == (patches, patches, WIDTH)
    expected = last_keys(vit[1], photo, side)[1:].reshape(keys.shape)
    np.testing.assert_allclose(keys, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "others"), [("dinov2", 1), ("dinov2_with_registers", 1 + REGISTERS)]
)
def test_dinov2s_keys_are_those_of_its_patches(
    kind: str, others: int, photo: np.ndarray, tmp_path: Path
) -> None:
    network = write_vit(tmp_path, kind)
    keys = load_features(str(tmp_path), CPU).keys(photo, 56)
    expected = last_keys(network, photo, 56)[others:].reshape(7, 7, WIDTH)
    np.testing.assert_allclose(keys, expected, atol=1e-4)


def test_rows_of_keys_go_down_the_picture(vit: tuple[Path, ViTModel]) -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, 32:] = 255
    keys = load_features(str(vit[0]), CPU).keys(photo, 64)
    across = np.abs(keys[:, :4] - keys[:, 4:]).mean()
    down = np.abs(keys[:4] - keys[4:]).mean()
    assert across > 1.5 * down


def test_by_default_pictures_are_480_pixels_wide(
    vit: tuple[Path, ViTModel], photo: np.ndarray
) -> None:
    assert load_features(str(vit[0]), CPU).keys(photo).shape == (60, 60, WIDTH)


def test_no_hook_is_left_behind(vit: tuple[Path, ViTModel], photo: np.ndarray) -> None:
    features = load_features(str(vit[0]), CPU)
    first = features.keys(photo, 32)
    np.testing.assert_array_equal(features.keys(photo, 32), first)
    assert not features._network.layers[-1].attention.k_proj._forward_hooks


def test_the_folder_says_how_colours_are_scaled(folder: Path, photo: np.ndarray) -> None:
    before = load_features(str(folder), CPU).keys(photo, 32)
    statistics = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    after = load_features(str(folder), CPU).keys(photo, 32)
    assert np.abs(before - after).max() > 0.01


@pytest.mark.parametrize(
    "statistics", [{"image_mean": 0.5}, {"image_std": [1, 1]}, {"image_std": [0, 1, 1]}]
)
def test_colours_that_make_no_sense_are_refused(folder: Path, statistics: dict) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    with pytest.raises(CheckpointError, match="three numbers each"):
        load_features(str(folder), CPU)


def test_another_kind_of_network_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "swin"}))
    with pytest.raises(CheckpointError, match="is a swin: only a ViT"):
        load_features(str(folder), CPU)


def test_incomplete_weights_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if name.endswith("key.weight")))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks .*k_proj.*incomplete"):
        load_features(str(folder), CPU)


def test_weights_with_nan_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).fill_(torch.nan)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="NaN"):
        load_features(str(folder), CPU)


def test_damaged_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_features(str(folder), CPU)


def test_a_pickle_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="is a pickle"):
        load_features(str(folder), CPU)
    with pytest.raises(CheckpointError, match="is a pickle"):
        load_features(str(folder / "pytorch_model.bin"), CPU)


@pytest.mark.parametrize(
    ("name", "words"),
    [("no such folder", "No features 'no such folder'"), (__file__, "is a single file")],
)
def test_names_that_lead_nowhere_say_what_to_give(name: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_features(name, CPU)
