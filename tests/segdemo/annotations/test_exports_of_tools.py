"""Exports as other tools write them: read as they come, and what is left out is named."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdemo.annotations import MasksRead, read_masks
from segdemo.datatypes import InputError
from tests.segdemo.annotations.drawing import drawn
from tests.segdemo.annotations.test_reading import TALL, as_json, as_png, coco, packed

SIZE = (20, 30)
SIZES = {"a.jpg": SIZE, "b.jpg": SIZE}
SQUARE = [2, 2, 10, 2, 10, 12, 2, 12]
PAIRS = [[2, 2], [10, 2], [10, 12], [2, 12]]
SHARES = "0.0666667 0.1 0.3333333 0.1 0.3333333 0.6 0.0666667 0.6"


def square() -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[2:12, 2:10] = True
    return mask


def read_coco(tmp_path: Path, *segmentations: Any, **more: Any) -> MasksRead:
    content = coco(list(segmentations), SIZE, **more)
    return read_masks(as_json(content, tmp_path / "c.json"), SIZES)


def left_out(read: MasksRead) -> list[tuple[str, str]]:
    return [(note.file, note.entry) for note in read.notes if note.left_out]


def packed_counts() -> str:
    counts = packed(square())["counts"]
    assert isinstance(counts, str)
    return counts


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,
        [SQUARE],
        PAIRS,
        [PAIRS],
        [{"x": x, "y": y} for x, y in PAIRS],
        json.dumps([SQUARE]),
        [packed(square())],
        {"counts": packed_counts()},
        packed_counts(),
        {"size": [20.0, "30"], "counts": str(packed_counts().encode())},
        {"size": [20, 30], "counts": packed_counts() + "\n"},
    ],
)
def test_polygons_and_rle_of_any_spelling_are_the_mask(tmp_path: Path, segmentation: Any):
    read = read_coco(tmp_path, segmentation)
    np.testing.assert_array_equal(read["a.jpg"].masks, [square()])
    assert not read.notes


@pytest.mark.parametrize("counts", ["62 10 528", [62.0, 10, "528"], [62, 10, 528]])
def test_plain_run_lengths_of_any_spelling(tmp_path: Path, counts: Any):
    (mask,) = read_coco(tmp_path, {"size": [20, 30], "counts": counts})["a.jpg"].masks
    assert mask[2:12, 3].all() and mask.sum() == 10


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "no segmentation"),
        ([], "no segmentation"),
        ([2, 2, 10, 12], "box"),
        ([[2, 2, 10, 12]], "box"),
        ({"size": [20, 30], "counts": "oops"}, "RLE"),
        ({"size": [30, 20], "counts": [600]}, "RLE is 20 x 30"),
        ([[2, 2, 10, 2, 500, 12]], "far out"),
        ([[2.1, 2.1, 2.2, 2.1, 2.2, 2.2]], "covers no pixel"),
        ({"size": [20, 30], "counts": "[[" * 9000}, "RLE"),
        (7, "neither polygons nor RLE"),
    ],
)
def test_one_bad_annotation_is_left_out_and_named(tmp_path: Path, segmentation: Any, reason: str):
    read = read_coco(tmp_path, segmentation, [SQUARE])
    np.testing.assert_array_equal(read["a.jpg"].masks, [square()])
    assert left_out(read) == [("c.json", "annotation 0")]
    assert reason in read.sentences()[0]
    assert "Error" not in read.sentences()[0]


def test_an_orphan_annotation_is_left_out(tmp_path: Path):
    content = coco([SQUARE, SQUARE], SIZE)
    content["annotations"][1]["image_id"] = 99
    read = read_masks(as_json(content, tmp_path / "c.json"), SIZES)
    assert len(read["a.jpg"]) == 1
    assert read.sentences() == ["c.json: annotation 1 was left out: the file lists no image 99."]


def test_like_notes_share_a_sentence(tmp_path: Path):
    (sentence,) = read_coco(tmp_path, SQUARE, *[None] * 8).sentences()
    assert "annotation 5 and 3 more were left out" in sentence


def test_an_image_id_twice_is_refused_and_other_images_are_read(tmp_path: Path):
    content = coco([SQUARE], SIZE)
    content["images"].append({"id": 5, "file_name": "b.jpg", "height": 20, "width": 30})
    path = as_json(content, tmp_path / "c.json")
    with pytest.raises(InputError, match=r"2 images have this id, a\.jpg and b\.jpg"):
        read_masks(path, SIZES)
    content["images"].append({"id": 6, "file_name": "c.jpg", "height": 20, "width": 30})
    content["annotations"].append({**content["annotations"][0], "image_id": 6})
    read = read_masks(as_json(content, path), {**SIZES, "c.jpg": SIZE})
    assert list(read) == ["c.jpg"] and not read.is_complete


@pytest.mark.parametrize("image_id", ["5", 5.0, 5])
def test_ids_are_equal_as_numbers_and_as_text(tmp_path: Path, image_id: Any):
    assert len(read_coco(tmp_path, SQUARE, image_id=image_id)["a.jpg"]) == 1


def test_a_turned_photos_stored_size_is_believed_where_the_corners_fit_upright(tmp_path: Path):
    content = coco([SQUARE], SIZE[::-1])
    read = read_masks(as_json(content, tmp_path / "c.json"), SIZES)
    np.testing.assert_array_equal(read["a.jpg"].masks, [square()])
    assert read.is_complete and "EXIF" in read.sentences()[0]
    content["annotations"][0]["segmentation"] = [[2, 2, 10, 2, 10, 29, 2, 29]]  # below the photo
    with pytest.raises(InputError, match="20 x 30, the image 30 x 20"):
        read_masks(as_json(content, tmp_path / "c.json"), SIZES)


def test_lvis_names_images_by_url(tmp_path: Path):
    content = coco([SQUARE], SIZE)
    del content["images"][0]["file_name"]
    content["images"][0]["coco_url"] = "http://images.example.org/val2017/a.jpg"
    assert list(read_masks(as_json(content, tmp_path / "c.json"), SIZES)) == ["a.jpg"]


def test_results_are_known_by_file_name(tmp_path: Path):
    result = {"image_id": "val/a", "category_id": 0, "score": 0.5, "segmentation": packed(square())}
    read = read_masks(as_json([result], tmp_path / "r.json"), SIZES)
    assert read["a.jpg"].scores.tolist() == [0.5]


def test_sams_list_belongs_to_the_image_it_is_called_like(tmp_path: Path):
    found = [{"segmentation": packed(square()), "predicted_iou": 0.75, "stability_score": 0.9}]
    as_json(found, tmp_path / "a.json")
    read = read_masks(tmp_path, SIZES)
    assert read["a.jpg"].scores.tolist() == [0.75]


def test_the_official_annotations_folder_is_read(tmp_path: Path):
    content = coco([SQUARE], SIZE)
    as_json(content, tmp_path / "instances_val2017.json")
    caption = {"image_id": 5, "id": 1, "caption": "A square."}
    as_json({**content, "annotations": [caption]}, tmp_path / "captions_val2017.json")
    pose = {**content["annotations"][0], "keypoints": [0, 0, 0]}
    as_json({**content, "annotations": [pose]}, tmp_path / "person_keypoints_val2017.json")
    read = read_masks(tmp_path, SIZES)
    assert len(read["a.jpg"]) == 1 and read.is_complete and len(read.sentences()) == 2


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        ("Größe.jpg", unicodedata.normalize("NFD", "Größe.jpg")),
        (unicodedata.normalize("NFD", "Größe.jpg"), "Größe.jpg"),
        ("my photo.jpg", "my%20photo.jpg"),
        ("cat.jpg", "3f2a1bc7-cat.jpg"),
        ("3f2a1bc7-cat.jpg", "cat.jpg"),
        ("cat.jpg", "cat_jpg.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.jpg"),
        ("cat.jpg", "/data/local-files/?d=set%2Fcat.jpg"),
    ],
)
def test_names_match_however_they_are_encoded(tmp_path: Path, photo: str, said: str):
    content = coco([SQUARE], SIZE)
    content["images"][0]["file_name"] = said
    path = as_json(content, tmp_path / "c.json")
    assert list(read_masks(path, {photo: SIZE, "other.jpg": SIZE})) == [photo]


@pytest.mark.parametrize(
    ("photo", "said"), [("20210101-1.jpg", "20210102-1.jpg"), ("3f2a1bc7-a.jpg", "77aa1bc7-a.jpg")]
)
def test_other_dates_and_other_hashes_are_other_photos(tmp_path: Path, photo: str, said: str):
    content = coco([SQUARE], SIZE)
    content["images"][0]["file_name"] = said
    assert not read_masks(as_json(content, tmp_path / "c.json"), {photo: SIZE})


def labelme(*shapes: dict[str, Any], image: str = "a.jpg") -> dict[str, Any]:
    full = [{"label": "cat", "group_id": None, **shape} for shape in shapes]
    return {"shapes": full, "imagePath": image, "imageHeight": 20, "imageWidth": 30}


def test_xanylabelings_shapes_are_masks_and_others_are_named(tmp_path: Path):
    kinds = ("rotation", "oriented_rectangle", "quadrilateral", "rectangle", None, "cuboid")
    shapes = [{"points": PAIRS, "shape_type": kind} for kind in kinds]
    shapes.append({"points": [[0, 0], [3, 3]], "shape_type": "line"})
    shapes.append({"points": [[1, 1]], "shape_type": "polygon"})
    read = read_masks(as_json(labelme(*shapes), tmp_path / "a.json"), SIZES)
    np.testing.assert_array_equal(read["a.jpg"].masks, [square()] * 5)
    assert [entry for _, entry in left_out(read)] == [
        "shape 6 (cat)",
        "shape 7 (cat)",
        "shape 8 (cat)",
    ]


def test_a_stale_image_path_gives_way_to_the_files_own_name(tmp_path: Path):
    shape = {"points": PAIRS}
    as_json(labelme(shape, image="IMG_0001.jpg"), tmp_path / "a.json")
    read = read_masks(tmp_path, SIZES)
    assert len(read["a.jpg"]) == 1 and read.is_complete
    as_json(labelme(shape, image="b.jpg"), tmp_path / "a.json")
    with pytest.raises(InputError, match=r"called like a\.jpg, but its imagePath says b\.jpg"):
        read_masks(tmp_path, SIZES)


@pytest.mark.parametrize("raw", ["", "{", "{}", "[]", '{"flags": {}}'])
def test_one_bad_json_never_refuses_a_folder(tmp_path: Path, raw: str):
    as_json(labelme({"points": PAIRS}), tmp_path / "a.json")
    (tmp_path / "b.json").write_text(raw)
    read = read_masks(tmp_path, SIZES)
    assert list(read) == ["a.jpg"] and left_out(read) == [("b.json", "")]


class TestYolo:
    def read(self, tmp_path: Path, *rows: str) -> MasksRead:
        (tmp_path / "a.txt").write_text("\n".join(rows))
        return read_masks(tmp_path, SIZES)

    def test_confidence_decimal_classes_and_a_hair_outside(self, tmp_path: Path):
        outside = SHARES.replace("0.0666667", "-0.0021")
        read = self.read(tmp_path, f"0.0 {SHARES} 0.91", f"1 {outside}")
        np.testing.assert_array_equal(read["a.jpg"].masks[0], square())
        assert read["a.jpg"].scores.tolist() == pytest.approx([0.91, 1])
        assert read.is_complete and "row 2: what lies outside" in read.sentences()[0]

    def test_boxes_and_poses_are_left_out(self, tmp_path: Path):
        pose = "0 0.5 0.5 0.2 0.2 " + "0.5 0.5 2 " * 17
        read = self.read(tmp_path, "1 0.5 0.5 0.2 0.2", pose, f"0 {SHARES}", "# comment")
        np.testing.assert_array_equal(read["a.jpg"].masks, [square()])
        assert [entry for _, entry in left_out(read)] == ["row 1", "row 2", "row 4"]

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("data.yaml", "names: [dog, cat]"),
            ("data.yaml", "names:\n  0: dog\n  1: cat\n"),
            ("obj.names", "dog\ncat\n"),
            ("classes.txt", "dog\ncat\n"),
        ],
    )
    def test_names_of_classes(self, tmp_path: Path, file: str, text: str):
        (tmp_path / file).write_text(text)
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "a.txt").write_text(f"1 {SHARES}")
        read = read_masks(tmp_path, SIZES)
        assert read["a.jpg"].names[1] == "cat" and not read.notes

    def test_label_studio_puts_notes_beside(self, tmp_path: Path):
        as_json({"categories": [], "info": {}}, tmp_path / "notes.json")
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "3f2a1bc7-a.txt").write_text(f"0 {SHARES}")
        read = read_masks(tmp_path, SIZES)
        assert len(read["a.jpg"]) == 1 and read.is_complete


class TestSoft:
    ramp = np.clip((16 - np.hypot(*np.mgrid[-20:20, -30:30])) * 25 + 128, 0, 255).astype(np.uint8)

    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "alpha", "npy", "share"])
    def test_a_soft_mask_is_one_object_cut_at_half(self, tmp_path: Path, mode: str):
        path = tmp_path / "a.png"
        if mode in ("npy", "share"):
            path = path.with_suffix(".npy")
            np.save(path, self.ramp if mode == "npy" else self.ramp / 255)
        elif mode == "alpha":
            photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
            as_png(np.dstack([photo, self.ramp]), path)
        else:
            Image.fromarray(self.ramp).convert(mode).save(path)
        read = read_masks(path)
        np.testing.assert_array_equal(read["a"].masks, [self.ramp >= 128])
        assert "soft mask" in read.sentences()[0]

    def test_smoothed_borders_of_several_objects_are_cut_at_half(self, tmp_path: Path):
        ids = np.zeros((80, 120, 3), np.uint8)
        ids[10:60, 10:50], ids[15:70, 60:110] = (250, 50, 83), (61, 61, 245)
        image = Image.fromarray(ids)
        image.resize((53, 37), Image.Resampling.BILINEAR).save(tmp_path / "a.png")
        read = read_masks(tmp_path / "a.png")
        assert len(read["a"]) == 2
        assert read["a"].areas.tolist() == pytest.approx([50 * 40 / 4.9, 55 * 50 / 4.9], rel=0.1)

    def test_ids_stay_ids(self, tmp_path: Path):
        for count in (3, 200):
            side = 45 // int(count**0.5) + 2
            cells = np.random.default_rng(1).permutation(count) + 1
            columns = int(count**0.5)
            grid = cells[: columns * (count // columns)].reshape(-1, columns)
            ids = np.kron(grid, np.ones((side, side), np.int64))
            as_png(np.pad(ids, 4).astype(np.uint8), tmp_path / "a.png")
            read = read_masks(tmp_path / "a.png")
            assert len(read["a"]) == grid.size and not read.notes


def test_each_page_of_a_tiff_is_a_mask(tmp_path: Path):
    pages = [Image.fromarray(mask) for mask in (TALL, ~TALL)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_masks(tmp_path / "a.tif")["a"].masks, [TALL, ~TALL])


def test_stacks_of_255_are_masks(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.stack([TALL, ~TALL]).astype(np.uint8) * 255)
    np.testing.assert_array_equal(read_masks(tmp_path / "a.npy")["a"].masks, [TALL, ~TALL])


@pytest.mark.parametrize("label_map", [True, False])
def test_cvats_segmentation_mask_and_voc(tmp_path: Path, label_map: bool):
    mask = drawn("##..", "##.#", "...#")
    objects = np.zeros((3, 4, 3), np.uint8)
    objects[:2, :2], objects[1:, 3] = (128, 0, 0), (0, 128, 0)
    as_png(objects, tmp_path / "SegmentationObject" / "a.png")
    cat = (250, 50, 83) if label_map else (64, 0, 0)  # VOC's colour of 8
    if label_map:
        lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\n"
        (tmp_path / "labelmap.txt").write_text(lines)
    classes = np.where(mask[..., None], np.array(cat, np.uint8), 0).astype(np.uint8)
    as_png(classes, tmp_path / "SegmentationClass" / "a.png")
    found = read_masks(tmp_path, {"a.jpg": (3, 4)})["a.jpg"]
    assert found.areas.tolist() == [4, 2]
    assert found.category_ids is not None
    assert [found.names[i] for i in found.category_ids.tolist()] == ["cat", "cat"]


def test_a_damaged_image_never_refuses_a_folder(tmp_path: Path):
    as_png(square(), tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    read = read_masks(tmp_path, SIZES)
    assert list(read) == ["a.jpg"] and left_out(read) == [("b.png", "")]
