"""A class map becomes a panoptic one: things apart, stuff whole, void where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segdemo.annotations import read_masks, write_masks
from segdemo.datatypes import InputError
from segdemo.rip.semantic import SemanticRefinement, refine_semantic
from segdemo.rip.settings import WalkSettings
from tests.segdemo.rip import scenes

SKY, CAT, DOG, VOID = 0, 3, 7, 255


def iou(mask: np.ndarray, other: np.ndarray) -> float:
    return float((mask & other).sum() / (mask | other).sum())


def assert_consistent(result: SemanticRefinement) -> None:
    """Every number occurs, has a class and a score, and is large enough."""
    areas = np.bincount(result.segments.ravel(), minlength=len(result.class_ids) + 1)[1:]
    assert len(areas) == len(result.class_ids) == len(result.scores)
    assert (areas >= 64).all()
    assert 0 <= result.things <= len(areas)
    assert ((result.scores > 0) & (result.scores <= 1)).all()


@pytest.fixture
def pets() -> tuple[np.ndarray, np.ndarray]:
    """Instances 1, 2 (cats that touch) and 3 (a dog that touches the second), and their edges."""
    labels = np.zeros((120, 240), np.int32)
    labels[30:90, 20:80], labels[30:90, 80:140], labels[30:90, 140:220] = 1, 2, 3
    return labels, scenes.true_edges(labels)


def classes_of(labels: np.ndarray) -> np.ndarray:
    return np.array([SKY, CAT, CAT, DOG])[labels]


def test_things_are_told_apart_and_stuff_is_whole(pets: tuple[np.ndarray, np.ndarray]) -> None:
    labels, edge = pets
    class_map = classes_of(labels)
    class_map[:10, :10] = VOID
    result = refine_semantic(class_map, edge, {CAT, DOG})
    assert_consistent(result)
    assert result.class_ids.tolist() == [CAT, CAT, DOG, SKY]
    assert result.things == 3
    found = result.to_instances().masks
    for instance in (1, 2, 3):
        assert max(iou(mask, labels == instance) for mask in found[:3]) > 0.95
    np.testing.assert_array_equal(result.segments == 0, class_map == VOID)
    np.testing.assert_array_equal(found[3], class_map == SKY)


@pytest.mark.parametrize("seed", range(2))
def test_drawn_scenes_keep_every_class_within_its_region(seed: int) -> None:
    labels = scenes.make_scene(seed)
    classes = np.random.default_rng(seed).choice([CAT, DOG], labels.max() + 1)
    classes[0] = SKY
    class_map = classes[labels]
    result = refine_semantic(class_map, scenes.true_edges(labels), {CAT, DOG})
    assert_consistent(result)
    owner = np.array([-1, *result.class_ids])[result.segments]
    assert (owner == class_map)[owner >= 0].all()
    found = result.to_instances().masks[: result.things]
    for mask in scenes.instances(labels):
        assert max(iou(mask, other) for other in found) > 0.8


def test_regions_that_miss_their_edge_grow_to_it_unless_clipped(
    pets: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = pets
    class_map = classes_of(labels)
    class_map[30:42, 20:220] = SKY  # the class map misses the tops
    clipped = refine_semantic(class_map, edge, {CAT, DOG})
    grown = refine_semantic(class_map, edge, {CAT, DOG}, clip_to_support=False)
    assert iou(clipped.segments == 3, class_map == DOG) == 1
    assert iou(grown.segments == 3, labels == 3) > 0.95
    assert_consistent(grown)


def test_where_classes_overlap_the_map_decides_then_the_smaller(
    pets: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, edge = pets
    edge[32:88, 138:142] = 0  # nothing tells the dog from the second cat: both grow over both
    class_map = classes_of(labels)
    class_map[30:90, 130:150] = VOID
    settings = WalkSettings(min_coverage=0.2)
    result = refine_semantic(class_map, edge, {CAT, DOG}, (VOID,), settings, clip_to_support=False)
    assert_consistent(result)
    owner = np.array([-1, *result.class_ids])[result.segments]
    for number in (CAT, DOG):
        assert (owner[class_map == number] == number).all()
    between = owner[40:80, 132:148]
    assert (between >= 0).all()
    assert len(np.unique(between)) == 1


def test_leftovers_go_to_a_near_instance_else_to_void() -> None:
    edge = np.zeros((256, 256), np.float32)
    class_map = np.full((256, 256), SKY)
    class_map[50:150, 50:150] = CAT
    class_map[100:104, 153:156] = CAT  # within 3 cells of 2 pixels
    class_map[200:204, 200:204] = CAT  # far away, too small for an instance
    edge[:, 151] = edge[190:215, 190] = edge[190:215, 215] = 1
    edge[190, 190:215] = edge[215, 190:216] = 1
    result = refine_semantic(class_map, edge, {CAT})
    assert result.class_ids.tolist() == [CAT, SKY]
    assert (result.segments[100:104, 153:156] == 1).all()
    assert (result.segments[200:204, 200:204] == 0).all()


def test_segments_below_64_pixels_are_void() -> None:
    class_map = np.full((40, 40), SKY)
    class_map[2:9, 2:9] = 5  # stuff
    class_map[20:27, 20:27] = CAT
    result = refine_semantic(class_map, np.zeros((40, 40), np.float32), {CAT})
    assert result.class_ids.tolist() == [SKY]
    assert (result.segments == 0).sum() == 98


def test_nothing_but_stuff_and_nothing_but_void() -> None:
    edge = np.zeros((30, 40), np.float32)
    sky = refine_semantic(np.full((30, 40), SKY, np.uint8), edge, {CAT})
    assert (sky.class_ids.tolist(), sky.things) == ([SKY], 0)
    nothing = refine_semantic(np.full((30, 40), VOID, np.uint8), edge, {CAT})
    assert (len(nothing.class_ids), nothing.things) == (0, 0)
    assert nothing.to_instances().masks.shape == (0, 30, 40)
    background_too = refine_semantic(np.zeros((30, 40), np.uint8), edge, {CAT}, void={SKY, VOID})
    assert not background_too.segments.any()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_edge_map_of_one_value_is_no_error(
    pets: tuple[np.ndarray, np.ndarray], value: float
) -> None:
    labels, edge = pets
    result = refine_semantic(classes_of(labels), np.full_like(edge, value), {CAT, DOG})
    assert_consistent(result)
    assert result.class_ids.tolist() == ([CAT, DOG, SKY] if value == 0 else [SKY])


def test_the_panoptic_picture_is_written_and_read(
    pets: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    labels, edge = pets
    result = refine_semantic(classes_of(labels), edge, {CAT, DOG})
    names = {SKY: "sky", CAT: "cat", DOG: "dog"}
    write_masks({"pets": result.to_instances(names)}, tmp_path / "out.json", "panoptic")
    (read,) = read_masks(tmp_path / "out.json").values()
    np.testing.assert_array_equal(read.masks, result.to_instances().masks)
    assert [read.names[number] for number in read.category_ids] == ["cat", "cat", "dog", "sky"]


@pytest.mark.parametrize(
    ("class_map", "things", "words"),
    [
        (np.zeros((4, 4), np.float32), {CAT}, "expected integers"),
        (np.zeros((0, 4), np.int64), {CAT}, "expected integers"),
        (np.zeros((4, 5), np.int64), {CAT}, "one size"),
        (np.full((4, 4), -1), {CAT}, "start at 0"),
        (np.zeros((4, 4), np.int64), {CAT, VOID}, "both a thing and void"),
    ],
)
def test_bad_class_maps_are_told(class_map: np.ndarray, things: set[int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        refine_semantic(class_map, np.zeros((4, 4), np.float32), things)
