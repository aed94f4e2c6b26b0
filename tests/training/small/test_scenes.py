"""Composed scenes carry a truth that fits their picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import InputError
from training.small import edge_truth
from training.small.scenes.compose import Scene, _occluded, compose_crowd, compose_scene
from training.small.scenes.material import (
    PARTS,
    LabelledPhoto,
    Material,
    in_validation,
    list_material,
)
from training.small.scenes.paste import Pasted, vary_cutout
from training.small.scenes.store import SceneStore
from training.small.settings import SmallSettings
from training.small.train import train

SIZE = 96
COUNT = 60


@pytest.fixture(scope="module")
def scenes(material_dir: Path) -> list[Scene]:
    material = Material(list_material(material_dir))
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
        compose_scene(Material(list_material(material_dir)), SIZE, np.random.default_rng(seed))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.instances, again.instances)
    assert not np.array_equal(first.image, other.image)


def test_a_crowd_has_many_objects_that_touch(material_dir: Path) -> None:
    material = Material(list_material(material_dir))
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
    material = Material(list_material(material_dir))
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    Image.new("L", (40, 30)).save(tmp_path / "labels.png")
    material.people = [LabelledPhoto(tmp_path / "photo.png", tmp_path / "labels.png")]
    with pytest.raises(InputError, match="No labelled photo"):
        vary_cutout(material, 32, "person", np.random.default_rng(0))


def test_an_empty_folder_is_named_with_what_fills_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cutouts_photo.* training\.small\.fetch --output_dir"):
        list_material(tmp_path)


@pytest.mark.parametrize(
    "kept", [("cutouts_photo",), ("ccp/images",), ("coco/images",), ("game-icons.json.gz",)]
)
def test_scenes_are_composed_of_what_is_there(
    kept: tuple[str, ...],
    material_dir: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for part in kept:
        whole = part.partition("/")[0]
        (tmp_path / whole).symlink_to(material_dir / whole)
    material = Material(list_material(tmp_path))
    assert "cutouts_3d" in caplog.text and kept[0] not in caplog.text
    for seed in range(12):
        assert compose_scene(material, SIZE, np.random.default_rng(seed)).instances.max() > 0
        compose_crowd(material, SIZE, np.random.default_rng(seed))


def test_what_is_kept_for_validation_shares_no_source_with_the_rest(
    material_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "material"
    shutil.copytree(material_dir, folder)
    for part in PARTS:
        example = min((folder / part).iterdir())
        for number in range(46, 90):  # 46 is one that is kept
            shutil.copy(example, example.with_stem(f"{number:04d}"))
    for part in ("ccp/masks", "coco/instances"):
        for number in range(46, 90):
            shutil.copy(folder / part / "0.png", folder / part / f"{number:04d}.png")
    sides = {}
    for validation in (True, False):
        files = list_material(folder, validation)
        used = [file for files in files.cutouts.values() for file in files] + files.backgrounds
        used += [photo.image for photo in files.people + files.photos]
        assert used and all(in_validation(file) == validation for file in used)
        sides[validation] = {file.stem for file in used}
    assert "0046" in sides[True] and not sides[True] & sides[False]
    out = tmp_path / "run"
    settings = SmallSettings(
        material_dir=str(folder),
        output_dir=str(out),
        stages=["scenes"],
        scene_count=3,
        validation_count=2,
        image_size=64,
    )
    train(settings)
    assert len(SceneStore.open(out / "validation")) == 2
    truth = ["--material_dir", str(folder), "--output_dir", str(tmp_path / "truth")]
    assert edge_truth.main([*truth, "--scenes", str(out / "scenes"), "--crowd_count", "20"]) == 0
    written = {p.relative_to(tmp_path / "truth").as_posix() for p in tmp_path.rglob("*.npz")}
    for side, stem in (("validation/", "0046"), ("", "0050")):
        assert f"{side}edges/coco/{stem}.npz" in written
        assert f"{side}edges/crowds/00000.npz" in written
        assert f"{side}edges/scenes/00001.npz" in written
    assert "edges/coco/0046.npz" not in written
