"""Exports are opened by the libraries of other tools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import supervision
import yaml
from PIL import Image
from pycocotools.coco import COCO

from segdemo.annotations import write_masks
from segdemo.datatypes import InstanceMasks


def instances() -> InstanceMasks:
    masks = np.zeros((2, 40, 60), np.bool_)
    masks[0, 5:20, 5:25], masks[1, 15:35, 30:50] = True, True
    return InstanceMasks.unscored(masks, np.array([1, 2]), {1: "cat", 2: "dog"})


def test_supervision_reads_coco_and_yolo(tmp_path: Path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "a.png")
    write_masks({"a.png": instances()}, tmp_path / "c.json", "coco")
    write_masks({"a.png": instances()}, tmp_path / "labels", "yolo")
    images, labels = str(tmp_path / "images"), str(tmp_path / "labels")
    data = str(tmp_path / "labels" / "data.yaml")
    read = supervision.DetectionDataset
    coco = read.from_coco(images, str(tmp_path / "c.json"), force_masks=True)
    yolo = read.from_yolo(images, labels, data, force_masks=True)
    for found in (coco, yolo):
        assert found.classes == ["cat", "dog"]
    (annotations,) = coco.annotations.values()
    np.testing.assert_array_equal(annotations.mask, instances().masks)


def test_coco_and_panoptic_have_the_fields_readers_ask_for(tmp_path: Path):
    for mask_format in ("coco", "coco-polygons", "panoptic"):
        write_masks({"a.png": instances()}, tmp_path / "c.json", mask_format)  # type: ignore[arg-type]
        content = json.loads((tmp_path / "c.json").read_text())
        assert content["info"]["version"] and content["licenses"]
        assert all("supercategory" in category for category in content["categories"])
    colours = [category["color"] for category in content["categories"]]
    assert len({tuple(colour) for colour in colours}) == 2
    write_masks({"a.png": instances()}, tmp_path / "c.json", "coco")
    assert COCO(tmp_path / "c.json").getCatIds(supNms=["x"]) == []


def test_yolos_data_file_names_the_classes(tmp_path: Path):
    write_masks({"a.png": instances()}, tmp_path, "yolo")
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == {0: "cat", 1: "dog"}
