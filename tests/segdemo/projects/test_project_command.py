"""`python -m segdemo project DIR status | export | import`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from segdemo.__main__ import main
from segdemo.annotations import MaskFormat, read_masks
from segdemo.projects.project import Project
from tests.segdemo.projects.scenes import HEIGHT, WIDTH, coco, labels, photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images, three with two instances each, of which two are checked."""
    photos(tmp_path / "project")
    project = Project(tmp_path / "project")
    project.classes.name({1: "cat", 2: "dog"})
    for image in (1, 2, 3):
        picture = project.image(image)
        picture.edit(lambda _: labels().astype(np.uint16), "Draw")
        known = picture.instances
        picture.describe({n: type(one)(category=n) for n, one in known.items()}, checked=image < 3)
    project.close()
    return tmp_path / "project"


def run(*arguments: str | Path) -> int:
    return main(["project", *map(str, arguments)])


def test_status_tells_how_far_a_project_is(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(folder, "status") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "project: 4 images: 1 new, 1 in work, 2 checked, 0 rejected"
    assert run(folder, "status", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["states"]["checked"] == 2 and content["open"] == []


def test_export_writes_what_is_checked_with_classes(folder: Path, tmp_path: Path):
    assert run(folder, "export", tmp_path / "out") == 0
    read = COCO(str(tmp_path / "out" / "all.json"))
    assert sorted(one["file_name"] for one in read.imgs.values()) == ["p0.png", "p1.png"]
    assert {one["name"] for one in read.cats.values()} == {"cat", "dog"}
    areas = sorted(one["area"] for one in read.anns.values())
    assert areas == [100, 100, 200, 200]


FORMATS: list[MaskFormat] = [
    "coco",
    "coco-polygons",
    "panoptic",
    "indexed",
    "npz",
    "yolo",
    "labelme",
]


@pytest.mark.parametrize("mask_format", FORMATS)
def test_every_format_is_split_and_read_again(
    folder: Path, tmp_path: Path, mask_format: MaskFormat
):
    out = tmp_path / "out"
    assert run(folder, "export", out, "--format", mask_format, "--all", "--val", "0.25") == 0
    sizes = {f"p{n}.png": (HEIGHT, WIDTH) for n in range(4)}
    found = {}
    for part, count in (("train", 3), ("val", 1)):
        place = out / "labels" / part if mask_format == "yolo" else out / part
        if mask_format in ("coco", "coco-polygons", "panoptic"):
            place = out / f"{part}.json"
        read = read_masks(place, sizes)
        assert len(read) in (count, count - 1)  # the image without masks may not be told of
        found |= {name: masks for name, masks in read.items() if len(masks)}
    assert sorted(found) == ["p0.png", "p1.png", "p2.png"]
    for masks in found.values():
        assert np.array_equal(np.sort(masks.areas), [100, 200])


def test_a_split_for_yolo_is_what_ultralytics_is_given(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    arguments = ("--format", "yolo", "--val", "0.5", "--with_images")
    assert run(folder, "export", out, *arguments) == 0
    data = (out / "data.yaml").read_text()
    assert "train: images/train" in data and "val: images/val" in data and "0: cat" in data
    for part in ("train", "val"):
        (image,) = (out / "images" / part).iterdir()
        assert (out / "labels" / part / f"{image.stem}.txt").is_file()


def test_export_refuses_what_would_be_replaced_or_is_empty(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit):
        run(folder, "export", folder)
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(folder, "export", tmp_path / "out", "--states", "rejected")
    assert "no images that are rejected" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_import_takes_masks_in_and_keeps_those_there_are(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("p2", "p3"):
        Image.fromarray((labels() == 2).astype(np.uint8)).save(masks / f"{name}.png")
    assert run(folder, "import", masks) == 0
    assert "1 images got masks, 1 had masks already" in capsys.readouterr().out
    assert np.asarray(Image.open(folder / "annotations" / "p3.png")).sum() == 200
    assert run(folder, "import", masks, "--replace") == 0
    capsys.readouterr()
    project = Project(folder)
    assert project.image(3).count == 1
    assert project.image(3).history().undo[-1].what == "Import"
    project.close()


def test_import_says_what_belongs_to_no_image(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(folder, "import", coco(tmp_path / "other.json", "elsewhere.png")) == 1
    assert "names must agree" in capsys.readouterr().err
