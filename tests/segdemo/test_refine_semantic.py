"""`refine --semantic`: class maps in, things told apart and stuff as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.annotations import read_masks
from segdemo.annotations.class_list import ClassList, read_class_names
from segdemo.datatypes import InputError
from tests.segdemo.refine_scenes import refine, squares, write_work

NAMES = "0: nothing\n1: person\n2: sky\n7: road\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Add class maps to the photos: both squares are 1, the row above 2, a corner void."""
    write_work(tmp_path)
    class_map = (squares() > 0).astype(np.uint8)
    class_map[:15] = 2
    class_map[80:, 120:] = 255
    (tmp_path / "maps").mkdir()
    for name in "ab":
        Image.fromarray(class_map).save(tmp_path / "maps" / f"{name}.png")
    (tmp_path / "names.txt").write_text(NAMES.replace("0: nothing\n", ""))
    return tmp_path


def semantic(work: Path, *flags: str, classes: str = "names.txt") -> int:
    return refine(work, "--semantic", str(work / classes), *flags, masks="maps")


def test_things_are_told_apart_and_stuff_is_one_segment(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert semantic(work, "--stuff", "Sky", "7") == 0
    assert "2 instances of 1 classes, 1 of stuff" in capsys.readouterr().out
    content = json.loads((work / "out.json").read_bytes())
    assert [(c["id"], c["name"], c["isthing"]) for c in content["categories"]] == [
        (1, "person", 1),
        (2, "sky", 0),
        (7, "road", 0),
    ]
    found = read_masks(work / "out.json")["a.png"]
    assert found.category_ids is not None
    assert found.category_ids.tolist() == [1, 1, 2]
    labels = squares()
    for mask, number in zip(found.masks, (1, 2), strict=False):
        assert (mask & (labels == number)).sum() > 0.95 * (labels == number).sum()
    assert np.array_equal(found.masks[2], np.arange(90)[:, None] < np.full(140, 15))


def test_background_is_stuff_where_it_is_asked_for(work: Path) -> None:
    assert semantic(work, "--stuff", "background", "--format", "coco") == 0
    found = read_masks(work / "out.json")["b.png"]
    assert found.category_ids is not None
    assert found.category_ids.tolist() == [1, 1, 2, 0]
    assert found.masks[3][75, 5] and not found.masks[3][85, 130]  # 255 stays void
    assert found.names[0] == "background"


@pytest.mark.parametrize("classes", ["voc", "coco", "coco-ids"])
def test_known_sets_have_names_and_only_things(work: Path, classes: str) -> None:
    assert refine(work, "--semantic", classes, masks="maps") == 0
    found = read_masks(work / "out.json")["a.png"]
    assert found.category_ids is not None
    assert found.category_ids.tolist() == [1, 1, 2]
    assert [found.names[n] for n in (1, 2)] == (
        ["aeroplane", "bicycle"] if classes == "voc" else ["person", "bicycle"]
    )


def test_one_class_map_for_one_photo(work: Path) -> None:
    flags = ["--images", str(work / "photos" / "a.png"), "--semantic", "voc"]
    assert refine(work, *flags, masks="maps/a.png") == 0
    assert list(read_masks(work / "out.json")) == ["a.png"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda pixels: np.where(pixels == 2, 77, pixels),
            "b.png holds 77, which is not one of its",
        ),
        (lambda pixels: pixels[1:], "b.png is 140 x 89, its photo 140 x 90: give class maps"),
        (None, "maps holds no class map of this photo"),
    ],
)
def test_one_bad_class_map_fails_alone(
    work: Path, change: object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = work / "maps" / "b.png"
    pixels = np.asarray(Image.open(file))
    file.unlink()
    if callable(change):
        Image.fromarray(change(pixels)).save(file)
    assert semantic(work) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("  b.png: ")
    assert words in said
    assert list(read_masks(work / "out.json")) == ["a.png"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--semantic", "ade20k"],
            "--semantic ade20k is not a file of class names: give one, or voc",
        ),
        (["--semantic", "voc", "--stuff", "sky"], "Stuff sky is not a class of voc"),
        (["--semantic", "voc", "--masks", "edges"], "edges holds no class maps of these photos"),
        (["--semantic", "voc", "--masks", "nowhere"], "nowhere does not exist"),
        (["--semantic", "voc", "--masks", "twice"], "are both class maps of a.png: remove one"),
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
    for folder in ("x", "y"):
        (work / "twice" / folder).mkdir(parents=True)
        Image.new("L", (140, 90)).save(work / "twice" / folder / "a.png")
    with pytest.raises(SystemExit) as leaving:
        refine(work, *flags, masks="maps")
    assert leaving.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("person\nsky\n", {1: "person", 2: "sky"}),
        ("background\nperson\ntraffic light\n", {0: "background", 1: "person", 2: "traffic light"}),
        ("3: sky\r\n0 : person\r\n", {3: "sky", 0: "person"}),
        ("\ufeffzebra: striped\n", {1: "zebra: striped"}),
        ("3: sky\tkey 5\n7: key 2\n", {3: "sky", 7: "key 2"}),  # as the mask editor saves them
    ],
)
def test_class_names_come_with_numbers_or_without(
    text: str, names: dict[int, str], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text(text, encoding="utf-8", newline="")
    assert read_class_names(tmp_path / "names.txt") == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "name 1 to 65535 classes"),
        ("70000: far\n", "name 1 to 65535 classes"),
        ("person\n\nsky\n", "line 2 is not a class"),
        ("1: person\nsky\n", "line 2 is not a class"),
        ("1: person\n1: sky\n", "has a number or a name twice"),
        ("sky\nSky\n", "has a number or a name twice"),
    ],
)
def test_bad_lists_of_names_are_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        read_class_names(tmp_path / "names.txt")


def test_what_is_void(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    voc = ClassList.of("voc", [])
    assert (voc.void, len(voc.things), voc.stuff) == ({0, 255}, 20, [])
    assert ClassList.of("voc", ["background"]).void == {255}
    assert ClassList.of("voc", ["background"]).stuff == [0]
    file.write_text(NAMES + "255: tree\n")  # 0 and 255 are classes like others here
    coco = ClassList.of("coco-panoptic", [])
    assert (len(coco.things), len(coco.stuff), coco.names[187]) == (80, 53, "sky-other-merged")
    own = ClassList.of(str(file), ["tree"])
    assert (own.void, own.things, own.stuff) == (set(), {0, 1, 2, 7}, [255])
