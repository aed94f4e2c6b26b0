"""The data sets of the papers, as people unpack them: what is read, and what is measured on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation import uis
from segdemo.annotations import rle

SIZE = (40, 50)  # height, width


def square(left: int, top: int, side: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


VOC_PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, *[0] * 756]
LEFT, RIGHT = square(2, 2, 12), square(30, 20, 10)


def save_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def image(number: int, **more: object) -> dict[str, Any]:
    return {"id": number, "height": SIZE[0], "width": SIZE[1], **more}


def annotation(number: int, mask: np.ndarray, category: int = 1, **more: object) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    side = int(np.sqrt(mask.sum()))
    return {
        "image_id": number,
        "category_id": category,
        "segmentation": rle.encode(mask),
        "bbox": [int(columns.min()), int(rows.min()), side, side],
        "area": float(mask.sum()),
        "iscrowd": 0,
        **more,
    }


def boxed(number: int, mask: np.ndarray, **more: object) -> dict[str, Any]:
    found = annotation(number, mask, **more)
    del found["segmentation"]
    return found


def run(root: Path, dataset: str, found: list[dict[str, Any]], *more: str) -> dict[str, Any]:
    """Measure predictions; return the results."""
    file = save_json(root.parent / "found.json", found)
    out = root.parent / "out"
    paths = [f"--annotations={root}", f"--predictions={file}", f"--output_dir={out}"]
    assert uis.main([*paths, f"--dataset={dataset}", *more]) == 0
    return json.loads((out / "results.json").read_text())


def kinds(results: dict[str, Any]) -> set[str]:
    return {name.split("/")[1].split(",")[0] for name in results["figures"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_voc2012_reads_palette_pictures_of_its_list_and_no_borders(root):
    for name in ("SegmentationObject", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for name in ("2007_000033", "2007_000042"):
        ids = np.where(LEFT, 1, np.where(RIGHT, 2, 0)).astype(np.uint8)
        ids[:, 20] = 255
        picture = Image.fromarray(ids)
        picture.putpalette(VOC_PALETTE)
        picture.save(root / f"SegmentationObject/{name}.png")
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_000042\n")
    found = [annotation(42, mask, score=0.5) for mask in (LEFT, RIGHT)]
    results = run(root, "voc2012", found)
    assert results["counts"]["images"] == 1
    assert results["counts"]["objects"] == 2
    assert results["figures"]["VOC2012/masks/AP"] == 100


def test_voc_pictures_of_greys_in_place_of_indices_are_told(root, capsys):
    (root / "SegmentationObject").mkdir()
    greys = np.where(LEFT, 38, np.where(RIGHT, 75, 0)).astype(np.uint8)
    Image.fromarray(greys).save(root / "SegmentationObject/000001.png")
    file = save_json(root.parent / "found.json", [annotation(1, LEFT, score=0.5)])
    paths = [f"--annotations={root}", f"--predictions={file}", f"--output_dir={root.parent / 'o'}"]
    assert uis.main([*paths, "--dataset=voc2012"]) == 2
    error = capsys.readouterr().err
    assert "000001.png counts objects from 38, not from 1: its palette may have been" in error


def test_coco20k_is_a_list_of_pictures_of_train2014(root):
    images = [image(n, file_name=f"COCO_train2014_{n:012d}.jpg") for n in (9, 25, 30)]
    truth = [annotation(n, LEFT, id=n) for n in (9, 25, 30)]
    content = {"images": images, "annotations": truth}
    save_json(root / "annotations/instances_train2014.json", content)
    listed = root.parent / "coco20k.txt"
    listed.write_text("COCO_train2014_000000000009.jpg\n30\n")
    found = [annotation(n, LEFT, score=0.5) for n in (9, 30)]
    results = run(root, "coco20k", found, f"--subset={listed}")
    assert results["counts"]["images"] == 2
    assert results["figures"]["COCO2014/masks/AP"] == 100
    assert any("COCO-20K" in note for note in results["notes"])


def lvis(root: Path) -> None:
    """In picture 1 class 2 is known to be absent, in picture 2 not all of class 2 is annotated."""
    url = "http://images.cocodataset.org/val2017/{:012d}.jpg"
    federated = [
        {"neg_category_ids": [2], "not_exhaustive_category_ids": []},
        {"neg_category_ids": [], "not_exhaustive_category_ids": [2]},
    ]
    images = [image(n, coco_url=url.format(n), **federated[n - 1]) for n in (1, 2)]
    truth = [annotation(1, LEFT, 1, id=1), annotation(2, LEFT, 2, id=2)]
    categories = [{"id": n, "name": str(n), "frequency": "rcf"[n - 1]} for n in (1, 2, 3)]
    content = {"images": images, "annotations": truth, "categories": categories}
    save_json(root / "annotations/lvis_v1_val.json", content)


def test_lvis_federated_ap_stands_apart_from_the_class_agnostic_one(root):
    lvis(root)
    found = [
        annotation(1, LEFT, 1, score=0.9),
        annotation(1, RIGHT, 2, score=0.8),  # a mistake: class 2 is known to be absent
        annotation(1, RIGHT, 3, score=0.9),  # unknown: nobody looked for class 3
        annotation(2, LEFT, 2, score=0.5),
        annotation(2, RIGHT, 2, score=0.9),  # unknown: class 2 was not annotated to the end
    ]
    figures = run(root, "lvis", found)["figures"]
    for label in ("masks", "boxes"):
        assert figures[f"LVIS/{label}, LVIS' federated/APr"] == 100
        assert figures[f"LVIS/{label}, LVIS' federated/APc"] == pytest.approx(50)
        assert figures[f"LVIS/{label}, LVIS' federated/APf"] is None
        assert figures[f"LVIS/{label}, LVIS' federated/AP"] == pytest.approx(75)
        assert figures[f"LVIS/{label}/AP"] < 75


def test_lvis_counts_300_predictions_of_a_picture_beside_100(root):
    lvis(root)
    wrong = [annotation(1, RIGHT, 1, score=0.9) for _ in range(150)]
    right = [annotation(1, LEFT, 1, score=0.5), annotation(2, LEFT, 2, score=0.5)]
    figures = run(root, "lvis", [*wrong, *right], "--iou", "bbox")["figures"]
    assert figures["LVIS/boxes/AR100"] == 50
    assert figures["LVIS/boxes/AR300"] == 100
    assert figures["LVIS/boxes, LVIS' federated/AR300"] == 100


def test_lvis_with_predictions_of_one_class_says_what_it_leaves_out(root):
    lvis(root)
    results = run(root, "lvis", [annotation(1, LEFT, score=0.5)])
    assert not any("federated" in name for name in results["figures"])
    assert any("federated AP is not measured" in note for note in results["notes"])
    assert (
        (root.parent / "out/per_image.csv").read_text().splitlines()[1].startswith("000000000001")
    )


def test_kitti_pictures_of_instances_are_masks(root):
    folder = root / "training/instance"
    folder.mkdir(parents=True)
    codes = np.full(SIZE, 7 * 256, np.uint16)  # road: class 7, no instance
    codes[LEFT], codes[RIGHT] = 26 * 256 + 1, 26 * 256 + 2
    Image.fromarray(codes).save(folder / "000003_10.png")
    found = [annotation(10, mask, score=0.5) for mask in (LEFT, RIGHT)]
    results = run(root, "kitti", found)
    assert results["counts"]["objects"] == 2
    assert results["figures"]["KITTI/masks/AP"] == 100


@pytest.mark.parametrize(
    ("dataset", "section", "file", "name"),
    [
        ("kitti", "KITTI", "trainval_cls_agnostic.json", "000007.png"),
        (
            "objects365",
            "Objects365",
            "annotations/zhiyuan_objv2_val.json",
            "images/v2/patch18/objects365_v2_00900001.jpg",
        ),
    ],
)
def test_data_sets_of_boxes_are_measured_as_boxes_and_say_so(root, dataset, section, file, name):
    content = {"images": [image(7, file_name=name)], "annotations": [boxed(7, LEFT, id=1)]}
    save_json(root / file, content)
    results = run(root, dataset, [annotation(7, LEFT, score=0.5)])
    assert results["figures"][f"{section}/boxes/AP"] == 100
    assert kinds(results) == {"boxes"}
    assert any("the truth holds boxes and no masks" in note for note in results["notes"])


def test_objects365_may_be_limited_to_a_list_by_names_below_patches(root):
    names = [f"images/v1/patch{n}/objects365_v1_0000000{n}.jpg" for n in (1, 2)]
    content = {
        "images": [image(n, file_name=name) for n, name in enumerate(names, 1)],
        "annotations": [boxed(n, LEFT, id=n) for n in (1, 2)],
    }
    save_json(root / "zhiyuan_objv2_val.json", content)
    listed = root.parent / "subset.txt"
    listed.write_text(names[1] + "\n")
    results = run(root, "objects365", [annotation(2, LEFT, score=0.5)], f"--subset={listed}")
    assert results["counts"]["images"] == 1
    assert results["figures"]["Objects365/boxes/AP"] == 100


def test_sa_1b_is_read_from_all_its_folders_and_shows_limits_above_100(root):
    for shard, number in (("sa_000000", 11), ("sa_000001", 12)):
        content = {
            "image": {"image_id": number, "height": SIZE[0], "width": SIZE[1]},
            "annotations": [annotation(number, LEFT)],
        }
        save_json(root / shard / f"sa_{number}.json", content)
    results = run(root, "sa1b", [annotation(n, LEFT, score=0.5) for n in (11, 12)])
    assert results["counts"]["images"] == 2
    assert results["figures"]["SA-1B/masks/AP"] == 100
    assert {"SA-1B/masks/AR300", "SA-1B/masks/AR1000"} <= set(results["figures"])


def test_results_are_not_written_into_the_data(root, capsys):
    lvis(root)
    file = save_json(root.parent / "found.json", [annotation(1, LEFT, score=0.5)])
    paths = [f"--annotations={root}", f"--predictions={file}", f"--output_dir={root / 'out'}"]
    assert uis.main([*paths, "--dataset=lvis"]) == 2
    assert "write the results outside the data" in capsys.readouterr().err
    assert not (root / "out").exists()
