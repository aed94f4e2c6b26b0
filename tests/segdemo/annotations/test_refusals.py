"""What cannot be read is refused in one sentence that names the file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segdemo import files
from segdemo.annotations import ClassList, arrays, collector, read_masks
from segdemo.datatypes import InputError
from tests.segdemo.annotations.test_reading import TALL, as_json, as_png, coco, packed

SIZES = {"a.jpg": (5, 3)}


def refusal(path: Path, sizes: dict[str, tuple[int, int]] | None = None, **more: Any) -> str:
    """Return the sentence, which must name the file or what lies in it."""
    with pytest.raises(InputError) as caught:
        read_masks(path, sizes, **more)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    assert path.name in message or path.is_dir() or path.suffix == ".zip"
    return message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (coco([{"size": [4, 3], "counts": [12]}], (5, 3)), "annotation 0 was .* 3 x 4, the image"),
        (coco([{"size": [5, 3], "counts": [14]}], (5, 3)), "does not fill"),
        (coco([{"size": [5, 3], "counts": "oo"}], (5, 3)), "damaged"),
        (coco([{"size": [5, 3]}], (5, 3)), "neither a list of whole numbers"),
        (coco([{"counts": [15], "size": 3}], (5, 3)), "no size"),
        (coco([[[0, 0, 1, 1, 2, 2, 3]]], (5, 3)), "pairs"),
        (coco([[[0, 0, 1, 1, 2, 900]]], (5, 3)), "far out of the image"),
        (coco([[["x"] * 6]], (5, 3)), "annotation 0 was left out: its polygons"),
        (coco([packed(TALL)], (5, 3), category_id=-9), "category -9"),
        (coco([packed(TALL)], (5, 3), image_id=8), "the file lists no image 8"),
        (coco([], (0, 3)), "3 x 0 pixels"),
        (coco([], (100_000, 100_000)), "40 million"),
        ({**coco([], (5, 3)), "images": [{"id": 1}]}, "has no file_name"),
        ({"annotations": [], "images": [], "categories": 3}, "are not a list"),
        ({"annotations": [5], "images": []}, "incomplete or damaged"),
        ({"a": 1}, "holds no masks"),
        ([], "holds no masks"),
        ([{"image_id": "x", "segmentation": 1}], "how large its image is"),
        ({"shapes": [{"points": [[0, 0]]}], "imageHeight": 5, "imageWidth": 3}, "shape 1"),
        ({"shapes": [{"label": "a", "points": 3}], "imageHeight": 5, "imageWidth": 3}, "shape 1"),
        ({"shapes": []}, "how large its image is"),
        ({"annotations": [{"segments_info": []}]}, "annotation 1 of the list was left out"),
    ],
)
def test_json_that_does_not_fit(tmp_path: Path, content: Any, said: str):
    with pytest.raises(InputError, match=said):
        read_masks(as_json(content, tmp_path / "c.json"))
    refusal(tmp_path / "c.json")


@pytest.mark.parametrize("raw", [b"{", b"[" * 100_000, b"\xff\xfe{", b'{"a": \x00}'])
def test_json_that_is_none(tmp_path: Path, raw: bytes):
    (tmp_path / "c.json").write_bytes(raw)
    assert "damaged or not JSON" in refusal(tmp_path / "c.json")


def test_sizes_that_disagree_with_the_picture(tmp_path: Path):
    path = as_json(coco([packed(TALL)], TALL.shape), tmp_path / "c.json")
    assert "a.jpg are 3 x 5, the image 7 x 6" in refusal(path, {"a.jpg": (6, 7)})
    path = as_png(TALL, tmp_path / "a.png")
    assert "a.jpg are 3 x 5, the image 7 x 6" in refusal(path, {"a.jpg": (6, 7)})


def test_a_name_that_could_be_two_pictures(tmp_path: Path):
    path = as_png(TALL, tmp_path / "a.png")
    assert "could be a.jpg or a.webp" in refusal(path, {"a.jpg": (5, 3), "a.webp": (5, 3)})


def test_results_whose_number_two_pictures_end_in(tmp_path: Path):
    path = as_json([{"image_id": 1, "segmentation": packed(TALL)}], tmp_path / "r.json")
    assert "a_1.jpg or b_01.jpg" in refusal(path, {"a_1.jpg": (5, 3), "b_01.jpg": (5, 3)})


def test_masks_that_come_twice(tmp_path: Path):
    for name, mask in (("c", TALL), ("d", ~TALL)):
        as_json(coco([packed(mask)], TALL.shape), tmp_path / f"{name}.json")
    read = read_masks(tmp_path)
    np.testing.assert_array_equal(read["a.jpg"].masks, [TALL])
    assert not read.is_complete
    assert read.sentences()[0].startswith("d.json: a.jpg was left out: it has masks from another")


def test_more_masks_than_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collector, "MAX_RUN_BYTES", 4)
    path = as_json(coco([packed(TALL)] * 3, TALL.shape), tmp_path / "c.json")
    assert "GB of run lengths" in refusal(path)


class TestLabelPictures:
    def test_photos(self, tmp_path: Path):
        noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
        assert "looks like a photo" in refusal(as_png(noise, tmp_path / "a.png"))
        assert "not a mask format" in refusal(as_png(noise, tmp_path / "a.jpg"))

    def test_jpegs_that_call_themselves_png(self, tmp_path: Path):
        Image.new("L", (3, 5)).save(tmp_path / "a.png", "JPEG")
        assert "save it as PNG" in refusal(tmp_path / "a.png")

    def test_damaged_pictures(self, tmp_path: Path):
        path = as_png(
            np.random.default_rng(0).integers(0, 9, (50, 50), np.uint8), tmp_path / "a.png"
        )
        path.write_bytes(path.read_bytes()[:300])
        assert "damaged" in refusal(path)

    def test_numbers_that_are_no_class(self, tmp_path: Path):
        path = as_png(np.array([[0, 75]], np.uint8), tmp_path / "a.png")
        classes = ClassList.of("voc", [])
        assert "75, which is not one of its classes" in refusal(path, classes=classes)

    def test_masks_of_one_picture_in_two_sizes(self, tmp_path: Path):
        as_png(TALL, tmp_path / "a" / "0.png")
        as_png(TALL.T, tmp_path / "a" / "1.png")
        assert "the masks of a are 5 x 3 and 3 x 5" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0, -1]]), "-1: ids start at 0"),
        (np.array([[1.5]]), "whole numbers"),
        (np.array([[np.nan]]), "whole numbers"),
        (np.array([["a"]]), "whole numbers"),
        (np.full((2, 3, 4), -2), "stack of zeros and ones"),
        (np.zeros(3), "stack of zeros and ones"),
        (np.zeros((0, 3), np.uint8), "pixels"),
        (np.zeros((3, 0), np.uint8), "pixels"),
        (np.array([[{}]]), "Python objects"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path: Path, values: np.ndarray, said: str):
    np.save(tmp_path / "a.npy", values)
    assert said in refusal(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", labels=values)
    assert said in refusal(tmp_path / "a.npz")


def test_arrays_that_claim_more_than_there_is(tmp_path: Path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 2), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"(2, 2), }      ", b"(2, 2000000), }"))
    assert "damaged" in refusal(path)
    path.write_bytes(b"\x93NUMPY\x09\x00")
    assert "damaged" in refusal(path)


def test_npz_that_unpack_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "MAX_ARRAY_BYTES", 1000)
    np.savez_compressed(tmp_path / "a.npz", np.zeros((40, 40), np.uint8))
    assert "unpacks to more than" in refusal(tmp_path / "a.npz")


def test_npz_of_arrays_that_do_not_belong_together(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=np.zeros(3))
    assert "holds the arrays x, y" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", masks=TALL[None], scores=np.ones(2))
    assert "one for each mask" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0 0.5 0.5 0.1 0.1", "is a box"),
        ("0 0 0 1 0 1", "is a box"),
        ("cat 0 0 1 0 1 1", "not a class"),
        ("0 0 0 1 0 1 5", "far out of the image"),
        ("0 0 0 1 0 1 nan", "not a number"),
        ("-1 0 0 1 0 1 1", "from 0"),
        ("0" * 30 + "9" * 30 + " 0 0 1 0 1 1", "from 0"),
    ],
)
def test_rows_that_are_no_yolo(tmp_path: Path, row: str, said: str):
    (tmp_path / "classes.txt").write_text("cup\n")
    (tmp_path / "a.txt").write_text(row)
    assert said in refusal(tmp_path / "a.txt", SIZES)


def test_yolo_without_the_pictures_size_or_as_no_text(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"0 \xff")
    assert "how large" in refusal(tmp_path / "a.txt")
    assert "not a text file" in refusal(tmp_path / "a.txt", SIZES)


class TestPanoptic:
    @staticmethod
    def write(folder: Path, ids: list[int], picture: str = "a.png") -> Path:
        segments = [{"id": number, "category_id": 1} for number in ids]
        content = {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "file_name": picture, "segments_info": segments}],
            "categories": [{"id": 1, "name": "x", "isthing": 1}],
        }
        as_png(np.full((2, 2, 3), (7, 0, 0), np.uint8), folder / "p" / "a.png")
        return as_json(content, folder / "p.json")

    def test_segments_without_pixels_are_passed_over(self, tmp_path: Path):
        assert len(read_masks(self.write(tmp_path, [7, 8]))["a.jpg"]) == 1

    def test_pixels_without_segments(self, tmp_path: Path):
        message = refusal(self.write(tmp_path, [8]))
        assert message.startswith("p.json: segment 7 of a.jpg was left out: a.png holds it")

    def test_missing_pictures(self, tmp_path: Path):
        assert "put it into the folder p" in refusal(self.write(tmp_path, [7], "b.png"))

    @pytest.mark.parametrize("name", ["../p/a.png", "/etc/passwd", "C:a.png"])
    def test_pictures_elsewhere(self, tmp_path: Path, name: str):
        assert "not a file name within a folder" in refusal(self.write(tmp_path, [7], name))


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


class TestArchives:
    @pytest.mark.parametrize(
        "name", ["../a.png", "/a.png", "x/../../a.png", "C:\\a.png", "..\\a.png"]
    )
    def test_names_that_lead_out(self, tmp_path: Path, name: str):
        path = zipped(tmp_path / "m.zip", {"good.png": b"", name: b""})
        assert "leads out of the archive" in refusal(path)

    def test_bombs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1000)
        path = zipped(tmp_path / "m.zip", {"a.png": bytes(5000)})
        assert "m.zip unpacks to more than" in refusal(path)

    def test_pictures_of_too_many_pixels(self, tmp_path: Path):
        Image.new("1", (30_000, 30_000)).save(tmp_path / "a.png")
        path = zipped(tmp_path / "m.zip", {"a.png": (tmp_path / "a.png").read_bytes()})
        assert "a.png has more than 40 million pixels" in refusal(path)

    def test_archives_without_masks(self, tmp_path: Path):
        assert "m.zip holds no masks" in refusal(zipped(tmp_path / "m.zip", {"a.md": b"x"}))
        assert "holds no masks" in refusal(zipped(tmp_path / "n.zip", {}))

    def test_damaged_archives_and_entries(self, tmp_path: Path):
        path = zipped(tmp_path / "m.zip", {"a.png": bytes(range(256)) * 9})
        raw = path.read_bytes()
        path.write_bytes(raw[:50] + b"XXXX" + raw[54:])
        assert "a.png was left out: it is damaged" in refusal(path)
        path.write_bytes(raw[:-30])
        assert "pack it again" in refusal(path)

    def test_folders_without_masks(self, tmp_path: Path):
        assert "holds no masks" in refusal(tmp_path)


def test_files_that_are_missing_or_unknown(tmp_path: Path):
    assert "cannot be read (No such file" in refusal(tmp_path / "gone.json")
    (tmp_path / "a.mat").write_bytes(b"MATLAB")
    assert "not a mask format known here" in refusal(tmp_path / "a.mat")
    (tmp_path / "empty.png").write_bytes(b"")
    assert "empty.png is not a label image" in refusal(tmp_path / "empty.png")


LABELME = {
    "shapes": [
        {"label": "a", "points": [[0, 0], [2, 0], [2, 2]], "group_id": 1},
        {"label": "a", "points": [[1, 1], [2, 2]], "shape_type": "rectangle", "group_id": 1},
        {"label": "b", "points": [[1, 2], [2, 2]], "shape_type": "circle"},
        {"label": "c", "points": [[0, 0], [3, 5]], "shape_type": "mask", "mask": "iVBORw0KGgo="},
    ],
    "imagePath": "a.jpg",
    "imageHeight": 5,
    "imageWidth": 3,
}
RESULTS = [{"image_id": 1, "segmentation": packed(TALL), "score": 0.3, "category_id": 1}]
ANY_KIND = coco([packed(TALL), [[0, 0, 1, 0, 1, 2]], {"size": [5, 3], "counts": [15]}], (5, 3))
JUNK = [None, True, -1, 0, 10**30, 1.5, float("nan"), float("inf"), "", "x", [], [[]], {}, "\ud800"]


def places(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the ways to all parts of a JSON."""
    inner: Any = content.items() if isinstance(content, dict) else ()
    inner = enumerate(content) if isinstance(content, list) else inner
    return [place] + [way for key, part in inner for way in places(part, (*place, key))]


def replaced(content: Any, place: tuple[Any, ...], part: Any) -> Any:
    if not place:
        return part
    copy = content.copy()
    copy[place[0]] = replaced(content[place[0]], place[1:], part)
    return copy


@given(st.sampled_from([ANY_KIND, LABELME, RESULTS]), st.data(), st.sampled_from(JUNK))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_json_with_any_part_replaced_is_read_or_refused(
    tmp_path: Path, content: Any, data: st.DataObject, part: Any
):
    place = data.draw(st.sampled_from(places(content)))
    path = as_json(replaced(content, place, part), tmp_path / "c.json")
    try:
        read_masks(path, data.draw(st.sampled_from([None, SIZES, {"im1.jpg": (5, 3)}])))
    except InputError as error:
        assert "c.json" in str(error) and str(error).endswith(".")


def damaged(raw: bytes, where: int, bit: int) -> bytes:
    where %= len(raw)
    return raw[:where] + bytes([raw[where] ^ 1 << bit]) + raw[where + 1 :]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: as_json(
            coco([packed(TALL), [[0, 0, 2, 0, 2, 2]]], TALL.shape), path / "a.json"
        ),
        lambda path: as_png(np.where(TALL, 3, 0).astype(np.uint8), path / "a.png"),
        lambda path: np.savez_compressed(path / "a.npz", masks=TALL[None]) or path / "a.npz",
        lambda path: zipped(path / "a.zip", {"a.json": json.dumps(coco([], (5, 3))).encode()}),
    ],
    ids=["json", "png", "npz", "zip"],
)
@given(where=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_flipped_bit_is_read_or_refused(
    tmp_path: Path, write: Callable[[Path], Path], where: int, bit: int
):
    path = write(tmp_path)
    path.write_bytes(damaged(path.read_bytes(), where, bit))
    try:
        read_masks(path, SIZES)
    except InputError as error:
        assert "a" in str(error)
