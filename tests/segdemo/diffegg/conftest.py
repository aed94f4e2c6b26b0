"""One tiny model of every family, written to disk once a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.loading import load_backbone
from tests.segdemo.diffegg.backbones import FAMILIES


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a family's tiny model; read it, do not change it."""

    @cache
    def folder_of(family: str) -> Path:
        folder = tmp_path_factory.mktemp(family)
        torch.manual_seed(0)
        FAMILIES[family](folder)
        return folder

    return folder_of


@pytest.fixture
def backbone_copy(backbone_folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of a family's folder that a test may damage."""
    return lambda family: shutil.copytree(backbone_folder(family), tmp_path / family)


@pytest.fixture(scope="session")
def backbone_of(backbone_folder: Callable[[str], Path]) -> Callable[[str], Backbone]:
    """Return a family's tiny model, loaded in float32 on the CPU; leave it as it is."""

    @cache
    def loaded(family: str) -> Backbone:
        files = locate_backbone(str(backbone_folder(family)))
        return load_backbone(files, torch.device("cpu"))

    return loaded


@pytest.fixture
def fresh_backbone(backbone_folder: Callable[[str], Path]) -> Callable[[str], Backbone]:
    """Return a family's tiny model, loaded anew for a test that changes it."""

    def loaded(family: str) -> Backbone:
        return load_backbone(locate_backbone(str(backbone_folder(family))), torch.device("cpu"))

    return loaded


@pytest.fixture(params=FAMILIES)
def backbone(request: pytest.FixtureRequest, backbone_of: Callable[[str], Backbone]) -> Backbone:
    """Return every family's tiny model in turn."""
    return backbone_of(request.param)
