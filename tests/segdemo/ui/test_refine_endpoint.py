"""The endpoint `/refine`, as a program calls it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from pycocotools import mask as coco_mask


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A photo of two touching discs that one mask covers, and the edges around both."""
    y, x = np.mgrid[:120, :160]
    first = (y - 60) ** 2 + (x - 45) ** 2 <= 30**2
    second = (y - 60) ** 2 + (x - 104) ** 2 <= 30**2
    edge = np.zeros((120, 160), bool)
    for disc in (first, second):
        edge[1:] |= disc[1:] != disc[:-1]
        edge[:, 1:] |= disc[:, 1:] != disc[:, :-1]
    edge[:, 74:76] = True
    pictures = {
        "photo": np.where((first | second)[..., None], 200, 40).repeat(3, 2).astype(np.uint8),
        "masks": (first | second).astype(np.uint8),
        "edge": edge.astype(np.uint8) * 255,
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in pictures}


def test_merged_masks_come_back_apart(client: Client, files: dict[str, Path]) -> None:
    file, info = client.predict(
        *(handle_file(files[name]) for name in ("photo", "masks", "edge")),
        preset="paper",
        api_name="/refine",
    )
    assert (info["masks"], info["split"], info["instances"]) == (1, 1, 2)
    assert info["edges"] == "upload"
    content = json.loads(Path(file).read_text())
    areas = [coco_mask.area(entry["segmentation"]) for entry in content["annotations"]]
    assert len(areas) == 2 and min(areas) > 2500
    assert Path(file).name == "photo_coco.json"


def test_points_divide_a_mask_and_one_beside_it_is_told(
    client: Client, files: dict[str, Path]
) -> None:
    file, info = client.predict(
        *(handle_file(files[name]) for name in ("photo", "masks", "edge")),
        points=[[45, 60], [30, 70], [104, 60], [5, 5]],
        api_name="/refine",
    )
    assert (info["masks"], info["instances"], info["unused_points"]) == (1, 3, 1)
    assert len(json.loads(Path(file).read_text())["annotations"]) == 3


def test_without_an_edge_map_one_is_found(client: Client, files: dict[str, Path]) -> None:
    file, info = client.predict(
        handle_file(files["photo"]),
        handle_file(files["masks"]),
        None,
        edge_source="gradient",
        mask_format="indexed",
        api_name="/refine",
    )
    assert info["edges"] == "gradient"
    assert zipfile.ZipFile(file).namelist() == ["photo_indexed/photo.png"]


def test_a_class_map_becomes_a_panoptic_map(
    client: Client, files: dict[str, Path], tmp_path: Path
) -> None:
    class_map = np.where(np.asarray(Image.open(files["masks"])) > 0, 15, 0).astype(np.uint8)
    class_map[100:, 140:] = 255
    Image.fromarray(class_map).save(tmp_path / "map.png")
    file, info = client.predict(
        *(handle_file(file) for file in (files["photo"], tmp_path / "map.png", files["edge"])),
        preset="paper",
        classes="voc",
        stuff="background",
        api_name="/refine",
    )
    assert (info["split"], info["instances"]) == (1, 2)
    with zipfile.ZipFile(file) as packed:
        content = json.loads(packed.read("photo_panoptic.json"))
    assert [one["category_id"] for one in content["annotations"][0]["segments_info"]] == [15, 15, 0]
    stuff = [one["name"] for one in content["categories"] if not one["isthing"]]
    assert stuff == ["background"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"preset": "best"}, "choose one of careful, robust, paper"),
        ({"mask_format": "bmp"}, "choose one of coco"),
        ({"classes": "voc", "stuff": "sky"}, "Stuff sky is not a class of voc"),
        ({"points": [[1, "a"]]}, r"points has a point that is not \[x, y\]"),
        ({"points": [[1, 2]], "preset": "careful"}, "preset careful has none"),
        ({"edge_source": "canny"}, "choose one of diffegg, diffdis, gradient, small"),
    ],
)
def test_wrong_words_are_answered_with_the_right_ones(
    wrong: dict[str, object], sentence: str, client: Client, files: dict[str, Path]
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(
            handle_file(files["photo"]),
            handle_file(files["masks"]),
            None,
            api_name="/refine",
            **wrong,
        )


def test_an_edge_map_of_another_size_is_refused(client: Client, files: dict[str, Path]) -> None:
    small = files["edge"].with_name("small.png")
    Image.new("L", (80, 60)).save(small)
    with pytest.raises(AppError, match=r"small\.png is 80 x 60, its photo 160 x 120"):
        client.predict(
            *(handle_file(file) for file in (files["photo"], files["masks"], small)),
            api_name="/refine",
        )


def test_a_box_gets_a_mask_and_its_edge(client: Client, files: dict[str, Path]) -> None:
    photo = handle_file(files["photo"])
    *found, info = client.predict(photo, [15, 30, 75, 90], [[45, 60, 1]], api_name="/prompt")
    assert [Path(file).name for file in found] == ["photo_mask.png", "photo_edge.png"]
    assert {Image.open(file).size for file in found} == {(160, 120)}
    assert info["name"] == "photo.png"
    assert 0 <= info["score"] <= 1
    with pytest.raises(AppError, match="give a box or at least one click"):
        client.predict(photo, None, None, api_name="/prompt")
