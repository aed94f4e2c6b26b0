"""Class maps in the tab "Refine": classes, stuff and void stay what they are up to the export."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.data.panoptic_sets import read_truth
from segdemo.annotations import read_masks
from segdemo.datatypes import InputError
from segdemo.editing.sessions import Session, SessionStore
from segdemo.ui.refine.api import read_classes
from segdemo.ui.refine.export import SCOPES, export_masks
from segdemo.ui.refine.messages import picture_message
from segdemo.ui.refine.opening import open_files
from segdemo.ui.uploads import Upload
from tests.segdemo.refine_scenes import edge_of, squares

CLASSES = "0: road\n1: person\n2: sky\n3: dog"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Upload]:
    """Write a photo, its class map (people that touch, dogs apart, stuff, void), and its edges."""
    labels = squares()
    class_map = (labels > 0).astype(np.uint8)
    class_map[:15] = 2
    class_map[74:88, 10:30] = class_map[74:88, 60:80] = 3
    class_map[80:, 120:] = 255
    pictures = {
        "photo": np.stack([labels * 90] * 3, -1).astype(np.uint8),
        "map": class_map,
        "edge": np.maximum(edge_of(labels), edge_of(class_map.astype(int))),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return {
        name: Upload(path=str(tmp_path / f"{name}.png"), orig_name=f"{name}.png")
        for name in pictures
    }


@pytest.fixture
def session(tmp_path: Path, files: dict[str, Upload]) -> Session:
    opened = SessionStore(tmp_path / "sessions").create()
    photo, masks, edge = files.values()
    open_files(opened, [photo], [masks], [edge], read_classes(CLASSES, "sky, 0"))
    return opened


def test_rip_works_class_by_class_and_leaves_stuff_alone(session: Session) -> None:
    image = session.image(0)
    of_class = {number: one.category for number, one in image.instances.items()}
    assert sorted(of_class.values(), key=str) == [0, 1, 2, 3, 3]  # two dogs, nothing of void
    assert image.labels[85, 130] == 0
    assert session.stuff == {0, 2}
    assert picture_message(session, 0)["stuff"] == [0, 2]
    proposals = image.preview(stuff=session.stuff)
    (people,) = [number for number, category in of_class.items() if category == 1]
    assert [(one.kind, one.inputs) for one in proposals.changes] == [("split", (people,))]
    image.accept([0])
    assert sorted(one.category or 0 for one in image.instances.values()) == [0, 1, 1, 2, 3, 3]


def test_the_panoptic_export_is_read_by_others_and_here(session: Session, tmp_path: Path) -> None:
    image = session.image(0)
    image.preview(stuff=session.stuff)
    image.accept([0])
    painted = image.labels.copy()
    painted[40:50, 130:138] = image.highest + 1  # more of the sky, by hand
    (sky,) = [one for one in image.instances.values() if one.category == 2]
    image.replace_all(painted, image.revision + 1, {image.highest + 1: sky})
    file, _ = export_masks(session, 0, SCOPES[0], "panoptic")
    with zipfile.ZipFile(file) as packed:
        packed.extractall(tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.json")
    content = json.loads(path.read_bytes())
    assert {one["name"]: one["isthing"] for one in content["categories"]} == {
        "road": 0,
        "person": 1,
        "sky": 0,
        "dog": 1,
    }
    (annotation,) = content["annotations"]
    segments = annotation["segments_info"]
    assert sorted(one["category_id"] for one in segments) == [0, 1, 1, 2, 3, 3]
    colours = np.asarray(Image.open(path.with_suffix("") / annotation["file_name"]), np.int64)
    ids = colours @ [1, 256, 256**2]  # panopticapi's rgb2id
    areas = dict(zip(*np.unique(ids, return_counts=True), strict=True))
    assert {one["id"]: one["area"] for one in segments} == {n: a for n, a in areas.items() if n}
    assert areas[0] == 10 * 20  # void
    back = read_masks(path, {"photo.png": (90, 140)})
    assert back.stuff == {"road", "sky"}
    assert len(back["photo.png"]) == 6
    (evaluated,) = read_truth(path).images
    assert len(evaluated.reader.load().categories) == 6


def test_classes_that_cannot_be_are_refused(files: dict[str, Upload], tmp_path: Path) -> None:
    assert read_classes("", " ") is None
    for text, stuff, words in (
        ("", "sky", "say which classes"),
        ("voc", "sky", "Stuff sky is not a class of voc"),
        ("1: a\nb", "", "the list of classes: line 2 is not a class"),
    ):
        with pytest.raises(InputError, match=words):
            read_classes(text, stuff)
    opened = SessionStore(tmp_path / "sessions").create()
    lines = open_files(opened, [files["photo"]], [files["map"]], [], read_classes("1: a", ""))
    assert "map.png holds 2, which is not one of its classes" in " ".join(lines)
