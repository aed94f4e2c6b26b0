"""What is written comes back as it was, and other readers see the same."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import skimage.draw
import skimage.io
from hypothesis import given, settings
from PIL import Image
from pycocotools.coco import COCO
from scipy import ndimage

from segdemo.annotations import MaskFormat, read_masks, write_masks
from segdemo.annotations.stored_ids import read_label_image
from segdemo.datatypes import InputError, InstanceMasks
from tests.segdemo.annotations.drawing import (
    NAMES,
    RING,
    assert_equal,
    crowds,
    drawn,
    instances,
    sizes_of,
)

NAME = "häuser am see.jpg"


def load_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(path)


def round_trip(found: InstanceMasks, mask_format: MaskFormat) -> tuple[InstanceMasks, list[str]]:
    """Write and read one picture's masks."""
    with tempfile.TemporaryDirectory() as place:
        single = mask_format in ("coco", "coco-polygons", "panoptic")
        path = Path(place) / ("masks.json" if single else "masks")
        lost = write_masks({NAME: found}, path, mask_format)
        return read_masks(path, {NAME: found.size})[NAME], lost


def chosen(found: InstanceMasks, kept: np.ndarray) -> InstanceMasks:
    """Return some of the instances."""
    assert found.category_ids is not None
    crowd = crowds(found)[kept]
    return InstanceMasks(
        found.masks[kept],
        found.scores[kept],
        found.category_ids[kept],
        found.names,
        crowd if crowd.any() else None,
    )


@given(instances())
@settings(max_examples=40, deadline=None)
def test_coco_keeps_everything(found: InstanceMasks):
    back, lost = round_trip(found, "coco")
    assert_equal(back, found)
    assert lost == []


@given(instances())
@settings(max_examples=40, deadline=None)
def test_coco_polygons_keep_all_but_empty_instances(found: InstanceMasks):
    back, lost = round_trip(found, "coco-polygons")
    kept = (found.areas > 0) | crowds(found)
    assert_equal(back, chosen(found, kept))
    assert bool(lost) == (not kept.all())


@given(instances())
@settings(max_examples=40, deadline=None)
def test_npz_keeps_everything(found: InstanceMasks):
    back, lost = round_trip(found, "npz")
    assert_equal(back, found)
    assert lost == []


@given(instances())
@settings(max_examples=40, deadline=None)
def test_panoptic_keeps_what_is_not_covered(found: InstanceMasks):
    back, lost = round_trip(found, "panoptic")
    laid = found.to_label_map()
    seen = [i for i in range(len(found)) if i not in laid.hidden]
    np.testing.assert_array_equal(back.masks, [laid.labels == i + 1 for i in seen] or back.masks)
    assert len(back) == len(seen)
    assert found.category_ids is not None
    np.testing.assert_array_equal(back.category_ids, found.category_ids[seen])
    np.testing.assert_array_equal(crowds(back), crowds(found)[seen])
    assert bool(lost) == bool(laid.overlapped or laid.hidden or (found.scores != 1).any())


@given(instances())
@settings(max_examples=40, deadline=None)
def test_an_indexed_png_keeps_the_label_map(found: InstanceMasks):
    back, lost = round_trip(found, "indexed")
    wanted = InstanceMasks.from_label_map(found.to_label_map().labels)
    np.testing.assert_array_equal(back.masks, wanted.masks)
    assert bool(lost) == bool(len(found))


@given(instances())
@settings(max_examples=40, deadline=None)
def test_labelme_keeps_masks_and_names_of_all_but_empty_instances(found: InstanceMasks):
    back, _ = round_trip(found, "labelme")
    wanted = chosen(found, found.areas > 0)
    np.testing.assert_array_equal(back.masks, wanted.masks)
    assert back.category_ids is not None and wanted.category_ids is not None
    names = [back.names[number] for number in back.category_ids.tolist()]
    assert names == [NAMES[number] for number in wanted.category_ids.tolist()]


@given(instances())
@settings(max_examples=40, deadline=None)
def test_yolo_keeps_masks_without_holes(found: InstanceMasks):
    back, lost = round_trip(found, "yolo")
    kept = found.masks[found.areas > 0]
    filled = [ndimage.binary_fill_holes(mask, np.ones((3, 3))) for mask in kept]
    np.testing.assert_array_equal(back.masks, filled or kept)
    holes = int(sum((a != b).any() for a, b in zip(filled, kept, strict=True)))
    assert any("hold holes" in sentence for sentence in lost) == (holes > 0)


def filled_by_skimage(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill (N, 2) corners x, y; scikit-image counts from the middle of the first pixel."""
    return skimage.draw.polygon2mask(size, corners[:, ::-1] - 0.5)


@given(instances(smallest=1))
@settings(max_examples=40, deadline=None)
def test_scikit_image_fills_labelme_and_yolo_to_the_masks(found: InstanceMasks):
    height, width = found.size
    with tempfile.TemporaryDirectory() as place:
        write_masks({NAME: found}, Path(place), "labelme")
        write_masks({NAME: found}, Path(place), "yolo")
        stem = Path(place) / Path(NAME).stem
        shapes = json.loads(stem.with_suffix(".json").read_text())["shapes"]
        rows = stem.with_suffix(".txt").read_text().splitlines()
    masks = found.masks[found.areas > 0]
    union = np.zeros(found.size, np.bool_)
    for shape in shapes:
        union |= filled_by_skimage(np.array(shape["points"]), found.size)
    np.testing.assert_array_equal(union, masks.any(0))
    for row, mask in zip(rows, masks, strict=True):
        corners = np.array(row.split()[1:], float).reshape(-1, 2) * (width, height)
        without_holes = ndimage.binary_fill_holes(mask, np.ones((3, 3)))
        np.testing.assert_array_equal(filled_by_skimage(corners, found.size), without_holes)


def two_pictures() -> dict[str, InstanceMasks]:
    ring = np.zeros((7, 8), np.bool_)
    ring[1:6, 2:7] = RING
    rings = np.stack([ring, np.roll(ring, 1, 1)])
    categories = np.array([3, 7])
    return {
        "sea/one.jpg": InstanceMasks.unscored(rings, categories, {3: "cat", 7: "dog"}),
        "two.png": InstanceMasks.unscored(np.zeros((0, 5, 4), np.bool_)),
    }


FORMATS: tuple[MaskFormat, ...] = (
    "coco",
    "coco-polygons",
    "panoptic",
    "indexed",
    "npz",
    "yolo",
    "labelme",
)


@pytest.mark.parametrize("mask_format", FORMATS)
def test_names_and_sub_folders_survive(tmp_path: Path, mask_format: MaskFormat):
    written = two_pictures()
    path = tmp_path / ("m.json" if mask_format in FORMATS[:3] else "m")
    write_masks(written, path, mask_format)
    back = read_masks(path, sizes_of(written))
    assert list(back) == list(written)
    assert [len(found) for found in back.values()] == [2, 0]
    assert back["two.png"].size == (5, 4)


@pytest.mark.parametrize("mask_format", FORMATS)
def test_pictures_of_like_names_keep_their_masks(tmp_path: Path, mask_format: MaskFormat):
    names = ("sea/x.jpg", "hill/x.jpg", "v1.2.jpg", "v1.3", "x.jpg")
    written = {
        name: InstanceMasks.unscored(np.ones((1, i + 1, 2), np.bool_), np.array([4]), {4: "wave"})
        for i, name in enumerate(names)
    }
    path = tmp_path / ("m.json" if mask_format in FORMATS[:3] else "m")
    write_masks(written, path, mask_format)
    back = read_masks(path, sizes_of(written))
    assert sizes_of(back) == sizes_of(written)
    if mask_format not in ("indexed",):
        assert all(list(found.names.values()) == ["wave"] for found in back.values())


@pytest.mark.parametrize("mask_format", ["coco", "coco-polygons"])
def test_pycocotools_reads_the_same_masks(tmp_path: Path, mask_format: MaskFormat):
    written = two_pictures()
    path = tmp_path / "m.json"
    assert write_masks(written, path, mask_format) == []
    coco = load_coco(path)
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == list(written)
    assert [(c["id"], c["name"]) for c in coco.loadCats(coco.getCatIds())] == [
        (3, "cat"),
        (7, "dog"),
    ]
    found = coco.loadAnns(coco.getAnnIds(imgIds=images[0]["id"]))
    masks = written["sea/one.jpg"].masks
    np.testing.assert_array_equal([coco.annToMask(item) for item in found], masks)
    assert [item["area"] for item in found] == masks.sum((1, 2)).tolist()
    assert found[0]["bbox"] == [2, 1, 5, 5]


@given(instances(smallest=1))
@settings(max_examples=40, deadline=None)
def test_pycocotools_fills_every_polygon_and_crowd_to_the_mask(found: InstanceMasks):
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "m.json"
        write_masks({NAME: found}, path, "coco-polygons")
        coco = load_coco(path)
        masks = [coco.annToMask(item) for item in coco.dataset["annotations"]]
    kept = found.masks[(found.areas > 0) | crowds(found)]
    np.testing.assert_array_equal(masks or kept, kept)


def test_other_readers_see_the_ids_of_an_indexed_png(tmp_path: Path):
    labels = np.arange(600).reshape(20, 30)
    many, few = InstanceMasks.from_label_map(labels), InstanceMasks.from_label_map(labels % 255)
    write_masks({"many": many, "few": few}, tmp_path, "indexed")
    np.testing.assert_array_equal(skimage.io.imread(tmp_path / "many.png"), labels)
    with Image.open(tmp_path / "few.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), labels % 255)
    np.testing.assert_array_equal(read_label_image(tmp_path / "few.png", "few"), labels % 255)


def test_a_panoptic_png_has_cocos_colour_code(tmp_path: Path):
    labels = np.arange(600).reshape(20, 30)
    write_masks({"a.jpg": InstanceMasks.from_label_map(labels)}, tmp_path / "p.json", "panoptic")
    colours = skimage.io.imread(tmp_path / "p" / "a.png").astype(int)
    np.testing.assert_array_equal(colours @ [1, 256, 65536], labels)
    (annotation,) = json.loads((tmp_path / "p.json").read_text())["annotations"]
    assert annotation["file_name"] == "a.png"
    assert annotation["segments_info"][30]["bbox"] == [1, 1, 1, 1]


def test_a_cut_out_shows_the_instance_alone(tmp_path: Path):
    image = np.full((2, 3, 3), 9, np.uint8)
    masks = np.stack([drawn("#..", "#.."), drawn("...", "..#")])
    lost = write_masks(
        {"a.b.jpg": InstanceMasks(masks, np.array([0.5, 1], np.float32))},
        tmp_path,
        "cutouts",
        {"a.b.jpg": image},
    )
    for i, mask in enumerate(masks, 1):
        with Image.open(tmp_path / f"a.b_{i}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture)[..., 3] > 0, mask)
    assert lost == ["Scores were not written: the format has none (1 instance)."]


def test_losses_are_counted_over_all_pictures(tmp_path: Path):
    ring = InstanceMasks.unscored(RING[None])
    twice = InstanceMasks.unscored(np.stack([RING, drawn(*["#...#"] * 5)]))
    assert write_masks({"a": ring, "b": twice}, tmp_path, "yolo") == [
        "YOLO polygons cannot hold holes: 2 instances lost theirs.",
        "YOLO has one polygon an instance: 3 instances in several parts had them joined by lines.",
    ]
    assert write_masks({"a": ring, "b": twice}, tmp_path, "indexed") == [
        "Where instances overlap, only the front one was written (10 pixels)."
    ]


def test_classes_that_differ_between_pictures_are_refused(tmp_path: Path):
    cat, dog = (
        InstanceMasks.unscored(RING[None], np.array([1]), {1: name}) for name in ("cat", "dog")
    )
    with pytest.raises(InputError, match=r"b\.jpg: category 1 is dog, in other images cat"):
        write_masks({"a.jpg": cat, "b.jpg": dog}, tmp_path / "m.json", "coco")


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "C:\\a.jpg", "a/../../b", "", ".."])
@pytest.mark.parametrize("mask_format", ["npz", "panoptic", "labelme"])
def test_names_never_lead_out_of_the_folder(tmp_path: Path, name: str, mask_format: MaskFormat):
    with pytest.raises(InputError, match="not a file name within a folder"):
        write_masks({name: InstanceMasks.unscored(RING[None])}, tmp_path / "m", mask_format)


def test_two_pictures_never_share_a_file(tmp_path: Path):
    ring = InstanceMasks.unscored(RING[None])
    with pytest.raises(InputError, match=r"a\.jpg and A\.png would share one file"):
        write_masks({"a.jpg": ring, "A.png": ring}, tmp_path, "npz")


def test_a_picture_called_classes_does_not_replace_the_classes(tmp_path: Path):
    with pytest.raises(InputError, match=r"classes\.jpg would share classes\.txt"):
        write_masks({"classes.jpg": InstanceMasks.unscored(RING[None])}, tmp_path, "yolo")


def test_new_masks_without_a_class_go_beside_classified_ones(tmp_path: Path):
    ring = RING[None]
    cat = InstanceMasks.unscored(ring, np.array([1]), {1: "cat"})
    write_masks({"a": cat, "b": InstanceMasks.unscored(ring)}, tmp_path / "m.json", "coco")
    back = read_masks(tmp_path / "m.json")
    assert back["b"].category_ids is not None
    assert back["b"].names[int(back["b"].category_ids[0])] == "object"
    assert back["a"].names == {1: "cat", 2: "object"}


def test_an_unknown_format_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="tiff is not a mask format: choose one of coco,"):
        write_masks({}, tmp_path, "tiff")  # type: ignore[arg-type]


def test_names_with_halves_of_characters(tmp_path: Path) -> None:
    found = InstanceMasks.unscored(np.ones((1, 4, 5), bool), np.array([1]), {1: "caf\udce9"})
    for mask_format, path in (("yolo", "yolo"), ("coco", "c.json"), ("labelme", "labelme")):
        write_masks({"a.jpg": found}, tmp_path / path, mask_format)  # type: ignore[arg-type]
        back = read_masks(tmp_path / path, {"a.jpg": (4, 5)})["a.jpg"]
        assert back.names.popitem()[1] in ("caf\udce9", r"caf\udce9")  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="cannot be a file's name: rename the image"):
        write_masks({"\ud800.jpg": found}, tmp_path / "other", "yolo")
