"""Every method on a drawn image, through a real DINOv2, to masks of the image's size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segdemo.datatypes import InputError
from segdemo.uis.features import load_features
from segdemo.uis.maskcut import MaskCutSettings
from segdemo.uis.methods import METHODS, find_objects
from segdemo.uis.patch_masks import enlarge_masks
from tests.segdemo.uis.scenes import iou
from tests.segdemo.uis.vits import write_vit

SIZE = (160, 200)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """An image of two rectangles, whose sides lie within patches, and their labels."""
    labels = np.zeros(SIZE, np.int64)
    labels[21:75, 27:83] = 1
    labels[91:140, 101:175] = 2
    image = np.array([(90, 120, 90), (220, 50, 40), (40, 60, 230)])[labels]
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def keys(
    drawn: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    """Keys (20, 20, d) of a DINOv2 that tells colors apart, and not places."""
    folder = tmp_path_factory.mktemp("dinov2")
    network = write_vit(folder, "dinov2")
    with torch.no_grad():
        network.embeddings.position_embeddings.zero_()
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "norm" in name:
                parameter.fill_(1)
    network.save_pretrained(folder)
    return load_features(str(folder), torch.device("cpu")).keys(drawn[0], side=160)


@pytest.mark.parametrize("method", ["maskcut", "promerge"])
def test_all_objects_come_out_with_their_outlines(
    method: str, drawn: tuple[np.ndarray, np.ndarray], keys: np.ndarray
) -> None:
    image, labels = drawn
    settings = METHODS[method].settings()
    refined = find_objects(method, keys, image, settings)
    coarse = find_objects(method, keys, image, replace(settings, crf=False))
    assert refined.size == coarse.size == SIZE
    assert refined.scores.tolist() == [1] * len(refined)
    for k in (1, 2):
        best, before = (max(iou(m, labels == k) for m in one.masks) for one in (refined, coarse))
        assert best > 0.96
        assert best > before > 0.65


def test_tokencut_gives_one_of_them(drawn: tuple[np.ndarray, np.ndarray], keys: np.ndarray) -> None:
    image, labels = drawn
    (mask,) = find_objects("tokencut", keys, image).masks
    assert max(iou(mask, labels == k) for k in (1, 2)) > 0.65


def test_settings_of_another_method_are_refused(keys: np.ndarray) -> None:
    with pytest.raises(InputError, match="TokenCut needs TokenCutSettings"):
        find_objects("tokencut", keys, np.zeros((8, 8, 3), np.uint8), MaskCutSettings())


def test_a_mask_that_the_crf_makes_another_is_dropped() -> None:
    """In an image of one color a small mask shrinks to nothing."""
    image = np.full((60, 60, 3), 128, np.uint8)
    part = np.zeros((12, 12), bool)
    part[5, 5] = True
    assert len(enlarge_masks([part], image, crf=True)) == 0
    assert len(enlarge_masks([part], image, crf=False)) == 1


@pytest.mark.parametrize("crf", [False, True])
def test_no_parts_are_no_masks(crf: bool) -> None:
    assert enlarge_masks([], np.zeros((30, 20, 3), np.uint8), crf).masks.shape == (0, 30, 20)
