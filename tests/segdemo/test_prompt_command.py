"""`python -m segdemo prompt`: COCO's boxes become masks, nothing is dropped, a run is resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segdemo.__main__ import main
from segdemo.annotations import rle
from segdemo.prompting.network import PromptedU2Net


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, a prompter that finds all of its window, and boxes, three of them bad."""
    network = PromptedU2Net(channels=8, inner_channels=4)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(network.side[0].bias)
    network.save_pretrained(tmp_path / "tiny")
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "photos" / name)
    mask = np.zeros((40, 60), bool)
    mask[:3] = True
    boxes: list[dict[str, Any]] = [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 20, 10], "note": "kept"},
        {"id": 2, "image_id": 1, "bbox": [0, 0, 60, 3], "segmentation": rle.encode(mask)},
        {"id": 3, "image_id": 2, "bbox": [5, 5, 10, 10]},
        {"id": 4, "image_id": 2, "bbox": [5, 5, 0, 10]},
        {"id": 5, "image_id": 2, "bbox": [100, 5, 10, 10]},
        {"id": 6, "image_id": 9, "bbox": [1, 1, 2, 2]},
    ]
    images = [{"id": 1, "file_name": "x/a.png"}, {"id": 2, "file_name": "b.jpg"}]
    content = {"info": {"by": "me"}, "images": images, "annotations": boxes}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return tmp_path


def run(folder: Path, *more: str) -> int:
    images, boxes, output = (str(folder / n) for n in ("photos", "boxes.json", "out.json"))
    options = ["--images", images, "--boxes", boxes, "--output", output]
    return main(["prompt", *options, "--prompter", str(folder / "tiny"), "--device", "cpu", *more])


def test_boxes_become_masks_and_what_gets_none_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 1
    content = json.loads((folder / "out.json").read_text())
    given = json.loads((folder / "boxes.json").read_text())
    assert content["info"] == {"by": "me"}
    entries = {entry["id"]: entry for entry in content["annotations"]}
    assert list(entries) == [1, 2, 3, 4, 5, 6]
    mask = rle.decode(entries[1].pop("segmentation"))
    assert mask[8:22, 6:34].all()  # the window is half as large again as the box
    assert entries[1].pop("area") == mask.sum()
    assert entries[1] == given["annotations"][0]
    assert entries[2] == given["annotations"][1]
    assert [number for number, entry in entries.items() if "segmentation" not in entry] == [
        1,  # popped above
        4,
        5,
        6,
    ]
    said = capsys.readouterr().out
    assert "annotation 4 has the bbox [5, 5, 0, 10]: give left, top, width, height above 0" in said
    assert "annotation 5: The box 100, 5, 110, 15" in said
    assert "annotation 6 has the image_id 9, which the list of images lacks" in said


def test_what_failed_is_done_by_the_same_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "photos" / "b.png").write_bytes(b"broken")
    assert run(folder) == 1
    assert "segmentation" in json.loads((folder / "out.json").read_text())["annotations"][0]
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "photos" / "b.png")
    with pytest.raises(SystemExit):
        run(folder, "--replace")
    assert "holds a run with replace False, not True" in capsys.readouterr().err
    run(folder)
    assert not (folder / "out.json.part").exists()
    assert "a.png: resumed" in capsys.readouterr().out
    content = json.loads((folder / "out.json").read_text())
    assert "segmentation" in content["annotations"][2]
    with pytest.raises(SystemExit):
        run(folder)
    assert "out.json exists already" in capsys.readouterr().err


def test_a_damaged_result_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "photos" / "b.png").write_bytes(b"broken")
    run(folder)
    stored = folder / "out.json.part" / "photos" / "a.json"
    content = json.loads(stored.read_text())
    stored.write_text(json.dumps({"fingerprint": content["fingerprint"]}))
    with pytest.raises(SystemExit):
        run(folder)
    assert "a.json is damaged: delete it" in " ".join(capsys.readouterr().err.split())


def test_two_workers_write_what_one_writes(folder: Path) -> None:
    run(folder)
    one = (folder / "out.json").read_bytes()
    (folder / "out.json").unlink()
    assert run(folder, "--workers", "2") == 1
    assert (folder / "out.json").read_bytes() == one


def test_what_is_no_file_of_boxes_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "boxes.json").write_text("[]")
    with pytest.raises(SystemExit):
        run(folder)
    assert "needs `images` and `annotations`" in capsys.readouterr().err
