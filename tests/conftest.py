"""What all tests share: tiny checkpoint folders of the real classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.diffdis.loading import save_unet
from tests.parity import FIXTURES, build_autoencoder, build_unet
from tests.segdemo.diffegg.backbones import write_own


@pytest.fixture(scope="session")
def tiny_diffdis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the parity network as a checkpoint folder with a native size of 64 pixels."""
    source = FIXTURES / "diffdis_compact"
    folder = tmp_path_factory.mktemp("tiny")
    unet = build_unet(source)
    save_unet(unet, folder / "unet")
    build_autoencoder(source).save_pretrained(folder / "vae")
    null_text = torch.zeros(1, 2, unet.config.cross_attention_dim)
    save_file({"null_text": null_text}, folder / "null_text.safetensors")
    write_card(ModelCard("tiny", "MIT", native_size=64, base=None), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a text-to-image model in our own format with random weights, for 128 pixels."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    write_own(folder)
    return folder
