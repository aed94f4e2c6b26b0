"""Composed scenes carry a truth that fits their picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segdemo.datatypes import InputError
from training.material import Material
from training.scene_store import compose_store
from training.scenes import Scene, compose_scene

SIZE = 96
COUNT = 60


@pytest.fixture(scope="module")
def scenes(material_dir: Path) -> list[Scene]:
    material = Material(material_dir)
    return [compose_scene(material, SIZE, np.random.default_rng(seed)) for seed in range(COUNT)]


def test_every_scene_is_square_and_has_a_subject(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (SIZE, SIZE, 3)
        assert scene.mask.shape == scene.instances.shape == (SIZE, SIZE)
        assert {plane.dtype for plane in (scene.image, scene.mask, scene.instances)} == {
            np.dtype(np.uint8)
        }
        assert scene.mask.max() > 127
        assert scene.instances.max() >= 1


def test_the_mask_covers_the_instances_and_nothing_else(scenes: list[Scene]) -> None:
    for scene in scenes:
        solid, labelled = scene.mask > 127, scene.instances > 0
        shared = (solid & labelled).sum() / (solid | labelled).sum()
        assert shared > 0.9  # the soft rim may fall to either side


def test_some_scenes_have_several_subjects_and_some_only_one(scenes: list[Scene]) -> None:
    counts = [len(np.unique(scene.instances[scene.instances > 0])) for scene in scenes]
    assert min(counts) == 1
    assert max(counts) >= 3


def test_a_seed_names_a_scene(material_dir: Path) -> None:
    first, again, other = (
        compose_scene(Material(material_dir), SIZE, np.random.default_rng(seed))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.instances, again.instances)
    assert not np.array_equal(first.image, other.image)


def test_missing_material_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cutouts_photo"):
        Material(tmp_path)
    with pytest.raises(InputError, match="cutouts_photo"):
        compose_store(tmp_path, tmp_path / "scenes", 2, SIZE, 0, 1)
