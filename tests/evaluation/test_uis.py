"""The program of instances: formats, layouts, problems in one table, a report, no torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation import uis
from evaluation.core.runner import PARTIAL
from evaluation.data.instance_sets import read_predictions, read_truth
from segdemo.annotations import rle, write_masks
from segdemo.datatypes import InstanceMasks

SIZE = (40, 50)


def square(left: int, top: int, side: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


MASKS = {
    "a": [square(2, 2, 12), square(14, 2, 12)],
    "b": [square(5, 5, 20)],
}


def label_map(masks: list[np.ndarray]) -> np.ndarray:
    ids = np.zeros(SIZE, np.uint16)
    for number, mask in enumerate(masks, 1):
        ids[mask] = number
    return ids


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two pictures; the objects of a touch, in b there is one."""
    images, annotations = [], []
    for number, (name, masks) in enumerate(MASKS.items(), 1):
        images.append({"id": number, "file_name": f"{name}.jpg", "height": 40, "width": 50})
        for mask in masks:
            rows, columns = np.nonzero(mask)
            left, top = int(columns.min()), int(rows.min())
            side = int(np.sqrt(mask.sum()))
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": len(annotations) % 2 + 1,
                    "segmentation": rle.encode(mask),
                    "bbox": [left, top, side, side],
                    "area": float(mask.sum()),
                    "iscrowd": 0,
                }
            )
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def maps(folder: Path, masks: dict[str, list[np.ndarray]] = MASKS) -> Path:
    folder.mkdir()
    for name, some in masks.items():
        Image.fromarray(label_map(some)).save(folder / f"{name}.png")
    return folder


def predictions(path: Path, **changes: object) -> Path:
    content = [
        {"image_id": number, "category_id": 1, "segmentation": rle.encode(mask), "score": 0.5}
        for number, masks in enumerate(MASKS.values(), 1)
        for mask in masks
    ]
    content[0] |= changes
    path.write_text(json.dumps(content))
    return path


def run(annotations: Path, found: Path, out: Path, *more: str) -> int:
    paths = ["--annotations", str(annotations), "--predictions", str(found)]
    return uis.main([*paths, "--output-dir", str(out), *more])


def figures(out: Path) -> dict[str, float]:
    return json.loads((out / "results.json").read_text())["figures"]


def test_a_perfect_prediction_reaches_100_everywhere(coco, tmp_path):
    out = tmp_path / "out"
    assert run(coco, predictions(tmp_path / "found.json"), out) == 0
    found = figures(out)
    for label in ("masks", "boxes", "boundaries"):
        assert found[f"truth/{label}/AP"] == found[f"truth/{label}, problem A/AR100"] == 100
    with (out / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["touching"]) for row in rows] == [("a.jpg", "1"), ("b.jpg", "0")]
    assert {path.name for path in (out / "plots").iterdir()} == {
        "ap_iou.png",
        "precision_recall.png",
    }
    assert {path.name[3:] for path in (out / "worst").iterdir()} == {"a.png", "b.png"}
    assert not (out / PARTIAL).exists()


def test_label_maps_measure_as_their_json_does(coco, tmp_path):
    worse = {"a": [MASKS["a"][0]], "b": [square(7, 5, 20)]}
    content = [
        {"image_id": n, "category_id": 1, "segmentation": rle.encode(mask), "score": 1.0}
        for n, masks in enumerate(worse.values(), 1)
        for mask in masks
    ]
    (tmp_path / "found.json").write_text(json.dumps(content))
    run(coco, tmp_path / "found.json", tmp_path / "json", "--iou", "segm")
    run(maps(tmp_path / "truth"), maps(tmp_path / "found", worse), tmp_path / "maps")
    first, second = figures(tmp_path / "json"), figures(tmp_path / "maps")
    assert 0 < first["truth/masks/AP"] < 100
    assert {name: second[name] for name in first} == first


def test_the_formats_of_other_tools_are_read(coco, tmp_path):
    given = {name: InstanceMasks.unscored(np.stack(masks)) for name, masks in MASKS.items()}
    write_masks(given, tmp_path / "npz", "npz")
    assert run(coco, tmp_path / "npz", tmp_path / "out", "--iou", "segm") == 0
    assert figures(tmp_path / "out")["truth/masks/AP"] == 100


def test_equal_scores_show_the_spread_over_orders(coco, tmp_path):
    wrong = {"a": [*MASKS["a"], square(30, 20, 10)], "b": [square(30, 25, 10), *MASKS["b"]]}
    out = tmp_path / "out"
    run(coco, maps(tmp_path / "found", wrong), out, "--iou", "segm", "--shuffles", "8")
    found = figures(out)
    low, mean, high = (
        found[f"truth/masks, {word} of 8 orders/AP"] for word in ("lowest", "mean", "highest")
    )
    assert low < mean < high
    again = tmp_path / "again"
    run(coco, tmp_path / "found", again, "--iou", "segm", "--shuffles", "8", "--workers", "2")
    assert figures(again) == found


def test_all_problems_stand_in_one_table(coco, tmp_path, capsys):
    small = rle.encode(np.ones((20, 20), bool))
    found = predictions(tmp_path / "found.json", segmentation=small, score="high")
    content = json.loads(found.read_text())
    content[1]["image_id"] = 99
    found.write_text(json.dumps(content))
    assert run(coco, found, tmp_path / "out") == 2
    table = capsys.readouterr().err
    for words in (
        "1 masks have another size than their image: export them at its size",
        "prediction 1: 20 x 20 for 50 x 40",
        "1 scores are not numbers (prediction 1: 'high')",
        "1 predictions are for images the truth lacks (prediction 2: image 99)",
    ):
        assert words in table
    assert not (tmp_path / "out").exists()


def test_missing_and_extra_files_may_be_allowed(tmp_path, capsys):
    truth = maps(tmp_path / "truth")
    found = maps(tmp_path / "found", {"a": MASKS["a"], "c": MASKS["b"]})
    out = tmp_path / "out"
    assert run(truth, found, out) == 2
    table = capsys.readouterr().err
    assert "b         has no predictions" in table or "b      " in table
    assert "c.png" in table
    assert run(truth, found, out, "--allow-missing", "--iou", "segm") == 0
    assert figures(out)["truth/masks/AR100"] == pytest.approx(200 / 3, abs=1e-4)


def test_what_a_file_has_inside_is_told_by_its_name(tmp_path, capsys):
    truth, found = maps(tmp_path / "truth"), maps(tmp_path / "found")
    (found / "b.png").write_bytes((found / "b.png").read_bytes()[:60])
    assert run(truth, found, tmp_path / "out") == 2
    assert "b.png is damaged or incomplete" in capsys.readouterr().err


def test_boxes_without_masks_are_measured_as_boxes(coco, tmp_path, capsys):
    content = json.loads(coco.read_text())
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    coco.write_text(json.dumps(content))
    found, out = predictions(tmp_path / "found.json"), tmp_path / "out"
    assert run(coco, found, out, "--iou", "segm") == 2
    assert "The truth holds boxes and no masks: give --iou bbox." in capsys.readouterr().err
    assert run(coco, found, out) == 0
    assert figures(out)["truth/boxes/AP"] == 100
    assert not any("masks" in name for name in figures(out))


def test_kitti_text_is_boxes_and_dontcare_a_crowd(tmp_path):
    folder = tmp_path / "data" / "label_2"
    folder.mkdir(parents=True)
    (folder / "000007.txt").write_text(
        "Car 0.0 0 -1.6 10.0 10.0 30.0 20.0 1 1 1 1 1 1 1\n"
        "DontCare -1 -1 -10 50.0 50.0 90.0 90.0 -1 -1 -1 -1000 -1000 -1000 -10\n"
    )
    found = [
        {"image_id": 7, "bbox": [10, 10, 20, 10], "score": 0.5},
        {"image_id": 7, "bbox": [55, 55, 20, 20], "score": 0.9},
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    out = tmp_path / "out"
    assert run(folder.parent, tmp_path / "found.json", out, "--dataset", "kitti") == 0
    assert figures(out)["KITTI/boxes/AP"] == 100


def test_65535_is_a_crowd(tmp_path):
    truth = maps(tmp_path / "truth")
    ids = label_map(MASKS["b"])
    ids[30:] = 65535
    Image.fromarray(ids).save(truth / "b.png")
    objects = read_truth(truth).images[1].reader.load()
    assert objects.crowd.tolist() == [False, True]


def test_maskcut_writes_swapped_sizes_and_other_ids(coco, tmp_path):
    content = {
        "images": [
            {"id": 70 + n, "file_name": f"x/{name}.png", "height": 50, "width": 40}
            for n, name in enumerate(reversed(MASKS))
        ],
        "annotations": [
            {"image_id": 70 + n, "category_id": 1, "segmentation": rle.encode(mask)}
            for n, name in enumerate(reversed(MASKS))
            for mask in MASKS[name]
        ],
    }
    (tmp_path / "found.json").write_text(json.dumps(content))
    truth = read_truth(coco)
    found = read_predictions(tmp_path / "found.json", truth)
    assert found.errors == []
    assert found.constant
    assert [len(reader.load()) for reader, _ in found.readers] == [2, 1]


def test_a_list_of_pictures_limits_the_truth(coco, tmp_path):
    (tmp_path / "names.txt").write_text("b.jpg\n")
    out = tmp_path / "out"
    options = ["--subset", str(tmp_path / "names.txt"), "--allow-missing"]
    assert run(coco, predictions(tmp_path / "found.json"), out, *options) == 0
    assert json.loads((out / "results.json").read_text())["counts"]["images"] == 1


def test_masks_are_measured_without_torch(coco, tmp_path):
    found = predictions(tmp_path / "found.json")
    paths = ["--annotations", str(coco), "--predictions", str(found)]
    arguments = [*paths, "--output_dir", str(tmp_path / "out")]
    code = (
        "import sys; from evaluation import uis, wps; import evaluation.rip.__main__; "
        f"assert uis.main({arguments!r}) == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
