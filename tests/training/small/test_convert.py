"""Conversions of public collections, on hand-made checkouts of their layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import savemat

from segdemo.datatypes import InputError
from training.small.convert import (
    convert_bsds,
    convert_bsds_boundaries,
    convert_ccp,
    convert_coco,
    convert_cutouts,
)


def _photo(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (200, 30, 40)).save(path)
    return path


def _coco_json(path: Path, name: str, annotations: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": 7, "file_name": f"{name}.jpg", "width": 40, "height": 20}],
        "categories": [
            {"id": 1, "name": "cup", "isthing": 1},
            {"id": 2, "name": "sky", "isthing": 0},
        ],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content))


def _rectangle(number: int, left: int, right: int, **extra: object) -> dict[str, object]:
    polygon = [left, 0, right, 0, right, 20, left, 20]
    return {
        "id": number,
        "image_id": 7,
        "category_id": 1,
        "iscrowd": 0,
        "area": (right - left) * 20,
        "segmentation": [polygon],
        **extra,
    }


def _labels(folder: Path, name: str) -> npt.NDArray[np.uint16]:
    picture = Image.open(folder / "instances" / f"{name}.png")
    assert picture.mode == "I;16"
    return np.asarray(picture)


def test_a_cutout_is_cropped_to_what_is_visible_and_shrunk(tmp_path: Path) -> None:
    pixels = np.zeros((60, 100, 4), np.uint8)
    pixels[10:50, 20:100] = (0, 200, 0, 255)
    pixels[:, :20, 3] = 8  # a veil nobody sees
    Image.fromarray(pixels).save(tmp_path / "leaf.png")
    assert convert_cutouts([tmp_path / "leaf.png"], tmp_path / "out", 40) == 1
    cutout = Image.open(tmp_path / "out" / "leaf.webp")
    assert cutout.size == (40, 20)


def test_a_cutout_keeps_its_alpha(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = 255
    pixels[4:, 4:] = 255
    Image.fromarray(pixels).save(tmp_path / "corner.png")
    convert_cutouts([tmp_path / "corner.png"], tmp_path / "out", 40)
    alpha = np.asarray(Image.open(tmp_path / "out" / "corner.webp").getchannel("A"))
    assert (alpha == pixels[..., 3]).all()  # WebP keeps alpha exactly at every quality


@pytest.mark.parametrize("name", ["absent.png", "empty.png"])
def test_a_cutout_that_shows_nothing_is_refused_by_name(tmp_path: Path, name: str) -> None:
    Image.new("RGBA", (8, 8)).save(tmp_path / "empty.png")
    with pytest.raises(InputError, match=name):
        convert_cutouts([tmp_path / name], tmp_path / "out", 40)


def test_ccp_people_are_every_label_but_null(tmp_path: Path) -> None:
    _photo(tmp_path / "photos" / "0001.jpg")
    labels = np.zeros((20, 40), np.uint8)
    labels[5:15, 10:20] = 41
    labels[5:10, 10:20] = 3
    annotation = tmp_path / "annotations" / "pixel-level" / "0001.mat"
    annotation.parent.mkdir(parents=True)
    savemat(annotation, {"groundtruth": labels})
    assert convert_ccp(tmp_path, tmp_path / "out", ["0001"]) == 1
    mask = Image.open(tmp_path / "out" / "masks" / "0001.png")
    assert mask.mode == "1"
    assert (np.asarray(mask) == (labels > 0)).all()
    assert Image.open(tmp_path / "out" / "images" / "0001.webp").size == (40, 20)


def test_a_wrong_checkout_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0001\.mat is missing"):
        convert_ccp(tmp_path, tmp_path / "out", ["0001"])
    with pytest.raises(InputError, match="BIDS/BSDS500"):
        convert_bsds(tmp_path, tmp_path / "out")


def test_coco_polygons_put_small_objects_in_front_and_ignore_crowds(tmp_path: Path) -> None:
    _photo(tmp_path / "train2017" / "a.jpg")
    crowd = {"counts": [0, 100, 700], "size": [20, 40]}  # the first five columns
    objects = [
        _rectangle(1, 0, 30),
        _rectangle(2, 10, 20),
        _rectangle(3, 0, 5, iscrowd=1, area=100, segmentation=crowd),
    ]
    _coco_json(tmp_path / "annotations" / "instances_train2017.json", "a", objects)
    assert convert_coco(tmp_path, tmp_path / "out", ["a"]) == 1
    row = _labels(tmp_path / "out", "a")[10]
    assert row[[7, 15, 25, 35]].tolist() == [1, 2, 1, 0]


def test_coco_panoptic_keeps_things_and_ignores_void_and_crowds(tmp_path: Path) -> None:
    _photo(tmp_path / "images" / "a.jpg")
    ids = np.zeros((20, 40), np.uint32)
    ids[:, 10:20], ids[:, 20:30], ids[:, 30:] = 300, 70_000, 5
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], -1).astype(np.uint8)
    segments = [
        {"id": 300, "category_id": 1, "iscrowd": 0},
        {"id": 70_000, "category_id": 2, "iscrowd": 0},
        {"id": 5, "category_id": 1, "iscrowd": 1},
    ]
    annotations = tmp_path / "annotations" / "panoptic_val2017.json"
    _coco_json(annotations, "a", [{"file_name": "a.png", "image_id": 7, "segments_info": segments}])
    annotations.with_suffix("").mkdir()
    Image.fromarray(colours).save(annotations.with_suffix("") / "a.png")
    assert convert_coco(tmp_path, tmp_path / "out", ["a"]) == 1
    assert _labels(tmp_path / "out", "a")[0, ::10].tolist() == [65535, 1, 0, 65535]


def test_coco_takes_only_the_chosen_and_only_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _photo(tmp_path / "train2017" / f"{name}.jpg")
        _coco_json(tmp_path / f"instances_{name}.json", name, [_rectangle(1, 0, 30)])
    assert convert_coco(tmp_path, tmp_path / "out", ["a"]) == 1
    assert convert_coco(tmp_path, tmp_path / "out", ["a"]) == 0
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["a.webp"]


def test_bsds_boundaries_are_the_share_of_people_who_drew_them(tmp_path: Path) -> None:
    people = np.zeros((1, 2), object)
    for index, row in enumerate((3, 5)):
        drawn = np.zeros((8, 9), np.uint8)
        drawn[[1, row]] = 1
        people[0, index] = {"Boundaries": drawn}
    for part in ("train", "test"):
        file = tmp_path / "BSDS500" / "data" / "groundTruth" / part / f"{part}.mat"
        file.parent.mkdir(parents=True)
        savemat(file, {"groundTruth": people})
    assert convert_bsds_boundaries(tmp_path, tmp_path / "out") == 1
    shares = np.asarray(Image.open(tmp_path / "out" / "train.png"))
    assert shares[:, 0].tolist() == [0, 255, 0, 128, 0, 128, 0, 0]
    with pytest.raises(InputError, match="holds no train"):
        convert_bsds_boundaries(tmp_path / "nowhere", tmp_path / "out")


def test_bsds_leaves_the_test_photos_out(tmp_path: Path) -> None:
    images = tmp_path / "BSDS500" / "data" / "images"
    for name in ("train/1", "val/2", "test/3"):
        _photo(images / f"{name}.jpg")
    assert convert_bsds(tmp_path, tmp_path / "out") == 2
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["1", "2"]
