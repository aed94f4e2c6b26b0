"""Composed scenes carry a truth that fits their picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import InputError
from training.small.scenes.compose import Scene, _occluded, compose_crowd, compose_scene
from training.small.scenes.material import LabelledPhoto, Material
from training.small.scenes.paste import Pasted, vary_cutout
from training.small.scenes.store import compose_store

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


def test_a_crowd_has_many_objects_that_touch(material_dir: Path) -> None:
    material = Material(material_dir)
    crowds = [compose_crowd(material, SIZE, np.random.default_rng(seed)) for seed in range(12)]
    counts, touching = [], 0
    for crowd in crowds:
        labels = crowd.instances.astype(int)
        counts.append(len(np.unique(labels)) - 1)
        beside, below = labels[:, 1:] - labels[:, :-1], labels[1:] - labels[:-1]
        both = [(labels[:, 1:] > 0) & (labels[:, :-1] > 0), (labels[1:] > 0) & (labels[:-1] > 0)]
        touching += bool((beside[both[0]] != 0).any() or (below[both[1]] != 0).any())
        assert ((crowd.mask > 127) == (labels > 0)).mean() > 0.95
    assert np.mean(counts) > 2.5
    assert touching >= 6


def test_what_lies_in_front_is_no_part_of_the_subject() -> None:
    canvas = Image.new("RGB", (8, 8), "white")
    instances = np.zeros((8, 8), np.uint8)
    instances[:, 2:] = 1
    found = Pasted(canvas, (instances > 0).astype(np.float32), instances, (2, 0, 8, 8))
    thing = Image.new("RGBA", (8, 8))
    thing.paste((255, 0, 0, 255), (0, 0, 4, 8))
    thing.paste((255, 0, 0, 102), (4, 0, 5, 8))
    after = _occluded(found, thing)
    assert np.asarray(after.canvas)[0, 3].tolist() == [255, 0, 0]
    np.testing.assert_allclose(after.coverage[0], [0, 0, 0, 0, 0.6, 1, 1, 1], atol=1e-6)
    assert after.instances[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert np.asarray(canvas).min() == 255  # what was given stays


def test_a_photo_without_an_object_is_not_cut_out(material_dir: Path, tmp_path: Path) -> None:
    material = Material(material_dir)
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    Image.new("L", (40, 30)).save(tmp_path / "labels.png")
    material.people = [LabelledPhoto(tmp_path / "photo.png", tmp_path / "labels.png")]
    with pytest.raises(InputError, match="No labelled photo"):
        vary_cutout(material, 32, "person", np.random.default_rng(0))


def test_missing_material_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cutouts_photo"):
        Material(tmp_path)
    with pytest.raises(InputError, match="cutouts_photo"):
        compose_store(tmp_path, tmp_path / "scenes", 2, SIZE, 0, 1)
