"""The program of panoptic predictions: codings, problems in one table, a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation import wps

SIZE = (20, 30)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """One picture in VOC's layout: a bus, two dogs, background, a void border."""
    root = tmp_path / "VOC2012"
    objects, classes = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    for number, (columns, kind) in enumerate((((0, 8), 6), ((8, 16), 12), ((16, 20), 12)), 1):
        objects[5:15, slice(*columns)] = number
        classes[5:15, slice(*columns)] = kind
    objects[4], classes[4] = 255, 255
    for name, values in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        (root / name).mkdir(parents=True)
        picture = Image.fromarray(values).convert("P")
        picture.putpalette(bytes(range(256)) * 3)
        picture.save(root / name / "one.png")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("one\n")
    return root


def truth(voc: Path) -> tuple[np.ndarray, np.ndarray]:
    names = ("SegmentationClass", "SegmentationObject")
    classes, objects = (np.asarray(Image.open(voc / name / "one.png")) for name in names)
    return np.where(classes == 255, 0, classes), np.where(objects == 255, 0, objects)


def run(annotations: Path, found: Path, out: Path, *more: str) -> int:
    paths = ["--annotations", str(annotations), "--predictions", str(found)]
    return wps.main([*paths, "--output-dir", str(out), *more])


def figures(out: Path) -> dict[str, float]:
    return json.loads((out / "results.json").read_text())["figures"]


def save(folder: Path, values: np.ndarray, name: str = "one.png") -> Path:
    folder.mkdir(exist_ok=True)
    if name.endswith(".png"):
        Image.fromarray(values).save(folder / name)
    else:
        np.save(folder / name, values)
    return folder


def coded(voc: Path, coding: str) -> tuple[np.ndarray, str]:
    classes, objects = (values.astype(np.int64) for values in truth(voc))
    if coding == "channels":
        return np.dstack([classes, objects, 0 * classes]).astype(np.uint8), "one.png"
    if coding == "thousands":
        return classes * 1000 + objects, "one.npy"
    place = np.where(classes == 0, 20, classes - 1)  # background is the 21st class
    return (place + 1000 * objects).astype(np.uint16), "one.png"


@pytest.mark.parametrize("coding", ["channels", "thousands", "mmdet"])
def test_every_coding_of_the_truth_is_perfect(voc, tmp_path, coding):
    found = save(tmp_path / "found", *coded(voc, coding))
    assert run(voc, found, tmp_path / "out", "--coding", coding, "--dataset", "voc2012") == 0
    named = figures(tmp_path / "out")
    assert [named[f"VOC2012/ours/{name}"] for name in ("PQ", "PQth", "PQst")] == [100] * 3
    assert "Ferret + SAM" in (tmp_path / "out" / "results.md").read_text()


def test_a_class_map_has_one_segment_a_class(voc, tmp_path):
    found = save(tmp_path / "found", truth(voc)[0].astype(np.uint8))
    assert run(voc, found, tmp_path / "out") == 0
    named = figures(tmp_path / "out")
    assert named["VOC2012, by class/bus/PQ"] == 100
    # the dogs together are 8 x 10 and 4 x 10: the larger matches with two thirds, one is missed
    assert named["VOC2012, by class/dog/SQ"] == pytest.approx(200 / 3, abs=1e-5)
    assert named["VOC2012, by class/dog/RQ"] == pytest.approx(200 / 3, abs=1e-5)


def test_colours_in_place_of_indices_are_told(voc, tmp_path, capsys):
    grey = np.full(SIZE, 38, np.uint8)
    grey[:4] = 75
    found = save(tmp_path / "found", grey)
    assert run(voc, found, tmp_path / "out", "--coding", "semantic") == 2
    assert "a palette image may have been read as grey" in capsys.readouterr().err


def test_problems_of_files_stand_in_one_table(voc, tmp_path, capsys):
    found = save(tmp_path / "found", np.zeros((9, 9), np.uint8))
    save(found, np.zeros(SIZE, np.uint8), "two.png")
    assert run(voc, found, tmp_path / "out") == 2
    table = capsys.readouterr().err
    assert "one.png  is 9 x 9, its image 30 x 20" in table
    assert "two.png  belongs to no image" in table


@pytest.fixture
def panoptic(tmp_path: Path) -> Path:
    """One picture in COCO's panoptic form, a thing and stuff."""
    ids = np.zeros((*SIZE, 3), np.uint8)
    ids[:10, :, 0], ids[10:, :, 0] = 7, 9
    save(tmp_path / "truth", ids)
    segments = [{"id": 7, "category_id": 1}, {"id": 9, "category_id": 2, "iscrowd": 0}]
    annotation = {"image_id": 5, "file_name": "one.png", "segments_info": segments}
    content = {
        "images": [{"id": 5, "height": 20, "width": 30}],
        "annotations": [annotation],
        "categories": [
            {"id": 1, "name": "cat", "isthing": 1},
            {"id": 2, "name": "sky/cloud", "isthing": 0},
        ],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    return path


def test_a_panoptic_json_is_measured_with_its_pictures(panoptic, tmp_path):
    assert run(panoptic, panoptic, tmp_path / "out") == 0
    named = figures(tmp_path / "out")
    assert named["truth/ours/PQ"] == named["truth, by class/sky or cloud/PQ"] == 100


def test_json_and_picture_must_agree(panoptic, tmp_path, capsys):
    content = json.loads(panoptic.read_text())
    content["annotations"][0]["segments_info"].pop()
    content["annotations"].append(content["annotations"][0] | {"image_id": 6})
    found = tmp_path / "truth.found.json"
    found.write_text(json.dumps(content))
    save(tmp_path / "truth.found", np.asarray(Image.open(tmp_path / "truth" / "one.png")))
    assert run(panoptic, found, tmp_path / "out") == 2
    assert "image 6  is not an image of the truth" in capsys.readouterr().err
    assert run(panoptic, found, tmp_path / "out", "--allow_missing") == 2
    assert "holds segment 9, which its list lacks" in capsys.readouterr().err
