"""`python -m segdemo refine`: masks and edges in, a file that pycocotools reads out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from segdemo.__main__ import main
from segdemo.annotations import write_masks
from segdemo.datatypes import InstanceMasks


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two photos of touching squares, their masks merged in one COCO file, their edges as PNG."""
    labels = np.zeros((90, 140), np.int32)
    labels[20:70, 20:70], labels[20:70, 70:120] = 1, 2
    edge = np.zeros(labels.shape, np.uint8)
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        for side in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (side, 1 - side)
            edge[np.pad(differs, pad)] = 255
    (tmp_path / "photos").mkdir()
    (tmp_path / "edges").mkdir()
    masks = {}
    for name in ("a.png", "b.png"):
        photo = np.stack([labels * 90] * 3, -1).astype(np.uint8)
        Image.fromarray(photo).save(tmp_path / "photos" / name)
        Image.fromarray(edge).save(tmp_path / "edges" / f"{name[0]}_edge.png")
        masks[name] = InstanceMasks.unscored((labels > 0)[None], np.array([4]), {4: "square"})
    write_masks(masks, tmp_path / "merged.json", "coco")
    return tmp_path


def _refine(work: Path, *more: str) -> int:
    flags = ["refine", "--images", str(work / "photos"), "--masks", str(work / "merged.json")]
    flags += ["--edges", str(work / "edges"), "--output", str(work / "out.json")]
    return main([*flags, *more])


def test_merged_masks_are_split_and_their_class_stays(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _refine(work) == 0
    repaired = COCO(work / "out.json")
    assert [len(repaired.getAnnIds(image)) for image in repaired.getImgIds()] == [2, 2]
    for annotation in repaired.loadAnns(repaired.getAnnIds()):
        assert repaired.loadCats(annotation["category_id"])[0]["name"] == "square"
        assert 2200 < repaired.annToMask(annotation).sum() < 2600
    assert "1 masks, 1 split, 0 joined, 0 dropped: 2 instances" in capsys.readouterr().out


def test_a_photo_without_its_edge_map_fails_and_the_other_is_written(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "edges" / "b_edge.png").unlink()
    assert _refine(work) == 1
    assert "b.png has no edge map" in capsys.readouterr().err
    assert len(COCO(work / "out.json").getImgIds()) == 1


def test_a_photo_that_cannot_be_read_fails_alone(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "photos" / "c.png").write_text("no picture")
    assert _refine(work) == 1
    assert "c.png" in capsys.readouterr().err
    assert len(COCO(work / "out.json").getImgIds()) == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--cut", "3"], "3 is not between 0 and 1"),
        (["--grid", "4"], "grid 4 is outside 16 to 1024"),
        (["--format", "paper"], "invalid choice"),
    ],
)
def test_wrong_usage_is_told(
    work: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _refine(work, *flags)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_nothing_that_exists_is_replaced(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "out.json").write_text("mine")
    with pytest.raises(SystemExit):
        _refine(work)
    assert "exists already" in capsys.readouterr().err
    assert (work / "out.json").read_text() == "mine"
