"""Which pictures are used, and how the program goes on from what is there; nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from training.small.fetch import NAMES_FILE, Part, chosen_names, fetch_material, main


@pytest.mark.parametrize(
    ("source", "count"), [("stamps", 175), ("emoji", 450), ("ccp", 360), ("coco", 399)]
)
def test_measuring_material_is_never_chosen(source: str, count: int) -> None:
    held_out = json.loads(NAMES_FILE.read_text())["held_out"][source]
    chosen = chosen_names(source)
    assert len(chosen) == len(set(chosen)) == count
    assert not {Path(name).stem for name in chosen} & {Path(name).stem for name in held_out}


def test_twenty_stamps_are_held_out() -> None:
    assert len(json.loads(NAMES_FILE.read_text())["held_out"]["stamps"]) == 20


def _write_one(path: Path) -> int:
    path.mkdir()
    (path / "picture.webp").touch()
    return 1


def test_parts_that_are_there_are_left_alone_and_missing_sources_reported(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    parts = [
        Part(tmp_path / "there", _write_one),
        Part(tmp_path / "new", _write_one),
        Part(tmp_path / "wanted", None, "clone it"),
    ]
    assert fetch_material(parts) == [parts[2]]
    assert not any((tmp_path / "there").iterdir())
    assert (tmp_path / "new" / "picture.webp").exists()


def test_an_interrupted_part_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "new.part").mkdir()
    (tmp_path / "new.part" / "half.webp").touch()
    assert fetch_material([Part(tmp_path / "new", _write_one)]) == []
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.webp"]


def test_a_source_without_pictures_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [Part(tmp_path / "new", lambda path: 0), Part(tmp_path / "next", _write_one)]
    assert fetch_material(parts) == parts[:1]  # one that fails does not stop the others
    assert "new: the given folder holds none" in caplog.text


def test_the_program_says_how_to_get_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cutouts_photo", "cutouts_emoji3d", "game-icons.json.gz"):
        (tmp_path / name).mkdir()  # already there: nothing is fetched
    renders = tmp_path / "renders"
    renders.mkdir()
    Image.new("RGBA", (8, 8), "red").save(renders / "chair.png")
    assert main(["--output_dir", str(tmp_path), "--renders", str(renders)]) == 0
    report = capsys.readouterr().out
    assert "bearpaw/clothing-co-parsing" in report
    assert "--coco coco128_yolo COCO_Tiny COCO-MINI" in report
    assert (tmp_path / "cutouts_3d" / "chair.webp").exists()
    assert "cutouts_3d" not in report
