"""`python -m segdemo refine`: masks and edges in, a file that pycocotools reads out."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from segdemo import batch, images
from segdemo.__main__ import main
from segdemo.annotations import cutouts
from segdemo.rip.settings import ALGORITHMS
from tests.segdemo.refine_scenes import SIZE, refine, squares, write_work


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_work(tmp_path)
    return tmp_path


def test_merged_masks_are_split_and_their_class_stays(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refine(work) == 0
    repaired = COCO(work / "out.json")
    assert [len(repaired.getAnnIds(image)) for image in repaired.getImgIds()] == [2, 2]
    for annotation in repaired.loadAnns(repaired.getAnnIds()):
        assert repaired.loadCats(annotation["category_id"])[0]["name"] == "square"
        assert 2200 < repaired.annToMask(annotation).sum() < 2600
    assert "1 masks, 1 split, 0 joined, 0 dropped: 2 instances" in capsys.readouterr().out
    assert not (work / "out.json.part").exists()


def test_points_are_seeds_of_the_walk(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = work / "points.json"
    points.write_text(json.dumps({"a": [[45, 45], [95, 45], [130, 5]]}))
    assert refine(work, "--points", str(points)) == 1
    told = capsys.readouterr()
    assert "1 masks, 1 split, 0 joined, 0 dropped, 1 points on no mask: 2 instances" in told.out
    assert "b.png: --points has no points of this photo" in told.err
    assert COCO(work / "out.json").getImgIds() == [1]
    with pytest.raises(SystemExit):
        refine(work, "--points", str(points), "--preset", "careful", output="no.json")
    assert "preset careful has none" in " ".join(capsys.readouterr().err.split())


def test_a_photo_without_its_edge_map_fails_and_the_other_is_written(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "edges" / "b_edge.png").unlink()
    assert refine(work) == 1
    assert "b.png: there is no edge map" in capsys.readouterr().err
    assert len(COCO(work / "out.json").getImgIds()) == 1


def test_edge_maps_may_be_called_like_the_photo(work: Path) -> None:
    (work / "edges" / "b_edge.png").rename(work / "edges" / "b.png")
    assert refine(work) == 0
    assert refine(work, "--edges", str(work / "photos"), output="no.json") == 1


def test_what_masks_leave_out_is_told_and_the_exit_code_is_1(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((work / "merged.json").read_text())
    content["annotations"][1]["segmentation"] = None
    (work / "merged.json").write_text(json.dumps(content))
    assert refine(work) == 1
    assert "annotation 2 was left out: it has no segmentation" in capsys.readouterr().err
    assert len(COCO(work / "out.json").getAnnIds()) == 2


def test_a_photo_that_cannot_be_read_fails_alone(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "photos" / "c.png").write_text("no picture")
    assert refine(work) == 1
    assert "c.png is not an image" in capsys.readouterr().err
    assert len(COCO(work / "out.json").getImgIds()) == 2


def test_a_photo_without_masks_fails_alone(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(work / "photos" / "a.png", work / "photos" / "c.png")
    assert refine(work) == 1
    said = capsys.readouterr().err
    assert said.count("c.png") == 1
    assert f"c.png: {work / 'merged.json'} holds no masks of this photo" in said
    assert len(COCO(work / "out.json").getImgIds()) == 2


def test_nothing_is_written_where_all_fail(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(work / "edges")
    (work / "edges").mkdir()
    assert refine(work) == 1
    assert "2 failed:" in capsys.readouterr().err
    assert not list(work.glob("out*"))


@pytest.mark.parametrize("mask_format", ["coco", "cutouts"])
def test_photos_are_decoded_once(
    work: Path, monkeypatch: pytest.MonkeyPatch, mask_format: str
) -> None:
    decoded: list[str] = []

    def count(source: Path, name: str | None = None, *rest: Any) -> np.ndarray:
        decoded.append(str(name))
        return images.load_rgb(source, name, *rest)

    for module in (batch, cutouts):
        monkeypatch.setattr(module, "load_rgb", count)
    assert refine(work, "--format", mask_format, output="out") == 0
    assert decoded == ["a.png", "b.png"] * (2 if mask_format == "cutouts" else 1)


def test_masks_are_those_of_the_photo_as_it_is_shown(work: Path) -> None:
    lying = Image.fromarray(np.rot90(np.asarray(Image.open(work / "photos" / "a.png"))))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned back
    (work / "photos" / "a.png").unlink()
    lying.save(work / "photos" / "a.jpg", exif=exif)
    assert refine(work) == 0
    shown = {picture["file_name"]: picture for picture in COCO(work / "out.json").imgs.values()}
    assert (shown["a.jpg"]["height"], shown["a.jpg"]["width"]) == SIZE


@pytest.mark.parametrize("mask_format", ["panoptic", "yolo"])
def test_a_folder_or_a_file_and_its_folder_are_written(work: Path, mask_format: str) -> None:
    output = "out.json" if mask_format == "panoptic" else "out"
    assert refine(work, "--format", mask_format, output=output) == 0
    assert (work / output).exists()
    assert (work / "out").is_dir()
    assert not (work / f"{output}.part").exists()


def test_cutouts_show_the_photo(work: Path) -> None:
    assert refine(work, "--format", "cutouts", output="out") == 0
    names = sorted(path.name for path in (work / "out").iterdir())
    assert names == ["a_1.png", "a_2.png", "b_1.png", "b_2.png"]
    cut = np.asarray(Image.open(work / "out" / "a_1.png"))
    assert np.array_equal(cut[..., 0], squares() * 90)


def test_one_photos_edges_by_a_model(work: Path, tiny_backbone_folder: Path) -> None:
    flags = ["refine", "--images", str(work / "photos" / "a.png"), "--device", "cpu"]
    flags += ["--masks", str(work / "merged.json"), "--output", str(work / "out.json")]
    assert main([*flags, "--backbone", str(tiny_backbone_folder)]) == 0
    assert len(COCO(work / "out.json").getImgIds()) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--preset", "robust", "--cut", "3"], "edge_threshold 3.0 is outside 0 to 1"),
        (["--rip", "grid=4"], "grid 4 is outside 16 to 1024"),
        (
            ["--gap", "9"],
            "gap is not a parameter of preset careful, which runs region merging: "
            "choose among grid, edge_contrast, min_component, join_probability.",
        ),
        (["--rip", "grid"], "--rip grid: give NAME=NUMBER"),
        (["--format", "paper"], "invalid choice"),
        (["--format", "panoptic", "--output", "out"], "call it out.json"),
        (["--stuff", "sky"], "give --semantic as well"),
        (["--images", "edges"], "holds no masks of these photos"),
        (["--images", "empty"], "Nothing to do: no photos in empty"),
        (["--edges", "nowhere"], "is not a folder"),
        (["--masks", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_wrong_usage_is_told(
    work: Path,
    flags: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(work)
    (work / "empty").mkdir()
    with pytest.raises(SystemExit) as stopped:
        refine(work, *flags)
    assert stopped.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not list(work.glob("out*"))


@pytest.mark.parametrize("taken", ["out.json", "out"])
def test_nothing_that_exists_is_replaced(
    work: Path, taken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / taken).write_text("mine")
    with pytest.raises(SystemExit):
        refine(work, "--format", "panoptic")
    assert "exists already" in capsys.readouterr().err
    assert (work / taken).read_text() == "mine"


def test_results_do_not_go_among_the_masks(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "masks").mkdir()
    (work / "merged.json").rename(work / "masks" / "merged.json")
    with pytest.raises(SystemExit):
        refine(work, masks="masks", output="masks/out.json")
    assert "lies in --masks" in capsys.readouterr().err


def test_two_photos_of_one_name_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(work / "photos", work / "others")
    with pytest.raises(SystemExit):
        refine(work, "--images", str(work / "photos"), str(work / "others"))
    assert "have the same name" in capsys.readouterr().err


def test_photos_that_would_share_a_file_are_refused_at_once(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(work / "photos" / "a.png", work / "photos" / "a.bmp")
    with pytest.raises(SystemExit):
        refine(work, "--format", "indexed", output="out")
    assert "would share one file" in capsys.readouterr().err


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["refine", "--help"])
    said = "".join(capsys.readouterr().out.split())  # lines also break at hyphens
    for setting in [entry for algorithm in ALGORITHMS for entry in fields(algorithm)]:
        assert setting.name + "".join(setting.metadata["help"].split()) in said
