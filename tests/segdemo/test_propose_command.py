"""`python -m segdemo propose`: photos in, a file of first masks that pycocotools reads out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from segdemo.__main__ import main
from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.images import load_rgb
from tests.segdemo.uis.vits import write_vit

RANDOM = ("--tau", "0.95", "--no-crf")  # random weights make all patches much alike


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    write_vit(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of a bright square, off the middle."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, left in (("a.png", 20), ("b.jpg", 60)):
        photo = np.random.default_rng(left).integers(0, 60, (80, 120, 3), dtype=np.uint8)
        photo[20:60, left : left + 40, 0] += 180
        Image.fromarray(photo).save(folder / name)
    return folder


def _propose(photos: Path, *more: str) -> int:
    out = photos.parent / "out.json"
    flags = ["propose", "--images", str(photos), "--output", str(out), "--device", "cpu"]
    return main([*flags, *more])


@pytest.mark.parametrize(
    ("method", "flags", "most"),
    [
        ("maskcut", ["--rounds", "2"], 2),
        ("tokencut", [], 1),
        ("promerge", ["--background_cosine", "1", "--least_background", "0"], 99),
    ],
)
def test_every_photo_is_written_with_masks_of_its_size(
    photos: Path,
    vit: Path,
    method: str,
    flags: list[str],
    most: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _propose(photos, "--method", method, "--features", str(vit), *RANDOM, *flags) == 0
    found = COCO(photos.parent / "out.json")
    assert [image["file_name"] for image in found.loadImgs(found.getImgIds())] == ["a.png", "b.jpg"]
    annotations = found.loadAnns(found.getAnnIds())
    assert annotations
    assert all(found.annToMask(one).shape == (80, 120) for one in annotations)
    assert all(len(found.getAnnIds(image)) <= most for image in found.getImgIds())
    said = capsys.readouterr().out
    assert "proposed" in said
    assert "2 of 2 done" in said


@pytest.mark.parametrize("edges", ["diffegg", "diffdis"])
def test_parts_of_the_subject_make_up_its_mask(
    photos: Path, tiny_diffdis_folder: Path, tiny_backbone_folder: Path, edges: str
) -> None:
    """What the verb writes is what the assistant proposes: the subject, divided."""
    models = ["--model", str(tiny_diffdis_folder), "--backbone", str(tiny_backbone_folder)]
    assert _propose(photos, *models, "--threshold", "0.6", "--edges", edges) == 0
    found = COCO(photos.parent / "out.json")
    assistant = AnnotationAssistant(models[1], "cpu", backbone=models[3])
    image = load_rgb(photos / "a.png")
    subject = assistant.segment(image)
    written = [found.annToMask(one) for one in found.loadAnns(found.getAnnIds(1))]
    if subject.found_something:
        np.testing.assert_array_equal(sum(written), subject.mask > 0.6)
    else:
        assert not written


def test_a_photo_that_cannot_be_read_fails_alone(
    photos: Path, vit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "c.png").write_text("no picture")
    assert _propose(photos, "--method", "tokencut", "--features", str(vit)) == 1
    assert "c.png" in capsys.readouterr().err
    assert len(COCO(photos.parent / "out.json").getImgIds()) == 2


def test_when_all_fail_nothing_is_written(photos: Path, vit: Path) -> None:
    for photo in photos.iterdir():
        photo.write_text("no picture")
    assert _propose(photos, "--method", "tokencut", "--features", str(vit)) == 1
    assert not (photos.parent / "out.json").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--method", "maskcut"], "give a DINO ViT by --features FOLDER"),
        (["--method", "maskcut", "--features", "nowhere at all"], "No features 'nowhere at all'"),
        (["--method", "promerge"], "give a DINO ViT by --features FOLDER"),
        (["--method", "grabcut"], "invalid choice"),
        (["--method", "tokencut", "--rounds", "2"], "--method tokencut has no --rounds"),
        (["--no-crf"], "--method diffdis has no --crf"),
        (["--threshold", "2"], "2 is not between 0 and 1"),
        (["--method", "maskcut", "--rounds", "0"], "rounds 0 is outside 1 to 32"),
    ],
)
def test_wrong_usage_is_told(
    photos: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _propose(photos, *flags)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_a_folder_without_photos_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(SystemExit):
        _propose(tmp_path / "photos")
    assert "no photos in" in capsys.readouterr().err


def test_nothing_that_exists_is_replaced(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos.parent / "out.json").write_text("mine")
    with pytest.raises(SystemExit):
        _propose(photos)
    assert "exists already" in capsys.readouterr().err
    assert (photos.parent / "out.json").read_text() == "mine"


def test_edges_of_the_mask_need_no_backbone(photos: Path, tiny_diffdis_folder: Path) -> None:
    models = ["--model", str(tiny_diffdis_folder), "--backbone", "nowhere at all"]
    assert _propose(photos, *models, "--edges", "diffdis") == 0


def test_the_assistant_refuses_other_methods_and_edges() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    assistant = AnnotationAssistant(device="cpu")
    with pytest.raises(InputError, match="choose one of diffdis, maskcut, tokencut, promerge"):
        assistant.propose(image, "grabcut")
    with pytest.raises(InputError, match="choose diffegg or diffdis"):
        assistant.propose(image, edges="sobel")


def test_an_output_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["propose", "--images", str(tmp_path), "--output", str(tmp_path / "file/x.json")])
    assert ended.value.code == 2
    assert "cannot be written" in capsys.readouterr().err
