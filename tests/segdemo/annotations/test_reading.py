"""Files of other tools and methods, written here as those write them."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from segdemo.annotations import ClassList, read_masks
from segdemo.annotations.classes import CLASS_NAMES
from tests.segdemo.annotations.drawing import RING, drawn

TALL = drawn("#..", "#..", "...", "..#", "..#")  # 5 high, 3 wide


def as_json(content: Any, path: Path) -> Path:
    path.write_text(json.dumps(content))
    return path


def as_png(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def packed(mask: np.ndarray) -> dict[str, Any]:
    runs = mask_api.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(runs["size"]), "counts": runs["counts"].decode()}


def coco(segmentations: list[Any], size: tuple[int, int], **more: Any) -> dict[str, Any]:
    image = {"id": 5, "file_name": "a.jpg", "height": size[0], "width": size[1]}
    return {
        "images": [image],
        "annotations": [
            {"id": i, "image_id": 5, "category_id": 2, "segmentation": segmentation, **more}
            for i, segmentation in enumerate(segmentations)
        ],
        "categories": [{"id": 2, "name": "cup"}],
    }


class TestCoco:
    def test_polygons_runs_and_plain_runs_are_read(self, tmp_path: Path):
        plain = {"size": [5, 3], "counts": [0, 2, 11, 2]}
        polygons = [[0, 0, 1, 0, 1, 2, 0, 2], [2, 3, 3, 3, 3, 5, 2, 5]]
        path = as_json(coco([polygons, packed(TALL), plain], TALL.shape), tmp_path / "c.json")
        found = read_masks(path)["a.jpg"]
        np.testing.assert_array_equal(found.masks, [TALL] * 3)
        np.testing.assert_array_equal(found.category_ids, [2, 2, 2])
        assert found.names == {2: "cup"}

    def test_crowds_stay_crowds(self, tmp_path: Path):
        path = as_json(coco([packed(TALL)], TALL.shape, iscrowd=1), tmp_path / "c.json")
        crowd = read_masks(path)["a.jpg"].crowd
        assert crowd is not None and crowd.all()

    def test_maskcuts_swapped_sizes_are_put_right(self, tmp_path: Path):
        path = as_json(coco([packed(TALL), packed(TALL)], TALL.shape[::-1]), tmp_path / "c.json")
        found = read_masks(path, {"a.jpg": (5, 3)})["a.jpg"]
        np.testing.assert_array_equal(found.masks, [TALL, TALL])

    def test_maskcuts_pictures_without_masks_are_swapped_with_the_others(self, tmp_path: Path):
        content = coco([packed(TALL)], TALL.shape[::-1])
        content["images"].append({"id": 6, "file_name": "b.jpg", "height": 9, "width": 8})
        path = as_json(content, tmp_path / "c.json")
        assert read_masks(path, {"a.jpg": (5, 3), "b.jpg": (8, 9)})["b.jpg"].size == (8, 9)

    def test_results_are_matched_by_the_number_in_the_name(self, tmp_path: Path):
        name = "COCO_val2014_000000000139.jpg"
        result = {"image_id": 139, "category_id": 0, "score": 0.25, "segmentation": packed(TALL)}
        path = as_json([result], tmp_path / "coco_instances_results.json")
        found = read_masks(path, {name: (5, 3), "other.jpg": (2, 2)})
        assert list(found) == [name]
        assert found[name].scores.tolist() == [0.25]

    def test_sa1bs_single_picture_is_read(self, tmp_path: Path):
        content = {
            "image": {"image_id": 1, "file_name": "sa_1.jpg", "height": 5, "width": 3},
            "annotations": [{"id": 9, "segmentation": packed(TALL), "predicted_iou": 0.9}],
        }
        found = read_masks(as_json(content, tmp_path / "sa_1.json"))
        np.testing.assert_array_equal(found["sa_1.jpg"].masks, [TALL])

    def test_only_wanted_pictures_are_read_and_folders_do_not_matter(self, tmp_path: Path):
        content = coco([packed(TALL)], TALL.shape)
        content["images"][0]["file_name"] = "val2017/a.jpg"
        content["images"].append({"id": 6, "file_name": "b.jpg", "height": 9, "width": 9})
        path = as_json(content, tmp_path / "c.json")
        assert list(read_masks(path)) == ["val2017/a.jpg", "b.jpg"]
        assert list(read_masks(path, {"a.png": (5, 3)})) == ["a.png"]


class TestLabelPictures:
    def test_palette_indices_are_ids_and_vocs_border_is_background(self, tmp_path: Path):
        picture = Image.fromarray(np.array([[0, 1, 255], [2, 2, 255]], np.uint8), "P")
        palette = np.zeros((256, 3), np.uint8)
        palette[255] = (224, 224, 192)
        picture.putpalette(palette.tobytes())
        picture.save(tmp_path / "2007_000032.png")
        found = read_masks(tmp_path / "2007_000032.png")["2007_000032"]
        np.testing.assert_array_equal(found.areas, [1, 2])

    def test_sixteen_bits_and_colours_are_ids(self, tmp_path: Path):
        ids = np.array([[0, 300], [65535, 300]])
        as_png(ids.astype(np.uint16), tmp_path / "deep.png")
        colours = np.zeros((2, 2, 3), np.uint8)
        colours[0, 1], colours[1] = (255, 0, 0), (0, 9, 0)
        as_png(colours, tmp_path / "colours.png")
        found = read_masks(tmp_path)
        assert found["deep"].areas.tolist() == [2, 1]
        assert found["colours"].areas.tolist() == [1, 2]

    def test_class_maps_bring_their_names_and_leave_void_out(self, tmp_path: Path):
        as_png(np.array([[0, 15, 255], [1, 15, 0]], np.uint8), tmp_path / "a.png")
        classes = ClassList.of("voc", [])
        found = read_masks(tmp_path, {"a.jpg": (2, 3)}, classes)["a.jpg"]
        assert found.category_ids is not None
        assert [found.names[i] for i in found.category_ids.tolist()] == ["aeroplane", "person"]

    def test_cocos_classes_are_eighty_under_either_numbers(self):
        assert list(CLASS_NAMES["coco"]) == list(range(1, 81))
        assert len(CLASS_NAMES["coco-ids"]) == 80
        assert CLASS_NAMES["coco"][80] == CLASS_NAMES["coco-ids"][90] == "toothbrush"
        assert CLASS_NAMES["coco-ids"][13] == "stop sign"
        assert CLASS_NAMES["coco-ids"][62] == "chair"
        assert CLASS_NAMES["coco-ids"][72] == "tv"

    def test_photos_beside_the_masks_are_no_masks(self, tmp_path: Path):
        as_png(np.zeros((5, 3, 3), np.uint8), tmp_path / "a.png")
        as_json(coco([packed(TALL)], TALL.shape), tmp_path / "instances.json")
        assert len(read_masks(tmp_path)["a.jpg"]) == 1


class TestArrays:
    @pytest.mark.parametrize(
        "values",
        [
            np.where(TALL, 4, 0),
            np.where(TALL, 4.0, 0.0),
            TALL,
            TALL[None],
            TALL[None].astype(np.uint8),
            np.asfortranarray(TALL[None]),
        ],
    )
    def test_ids_and_stacks_are_read(self, tmp_path: Path, values: np.ndarray):
        np.save(tmp_path / "a.npy", values)
        np.savez(tmp_path / "b.npz", anything=values)
        for name, found in read_masks(tmp_path, {"a": (5, 3), "b": (5, 3)}).items():
            np.testing.assert_array_equal(found.masks, [TALL], err_msg=name)

    def test_an_array_a_mask_makes_a_stack(self, tmp_path: Path):
        np.savez_compressed(tmp_path / "a.npz", cup=TALL, plate=~TALL)
        found = read_masks(tmp_path / "a.npz")["a"]
        np.testing.assert_array_equal(found.masks, [TALL, ~TALL])


class TestPolygonFiles:
    def test_yolo_rows_take_their_names_from_classes_txt(self, tmp_path: Path):
        (tmp_path / "a.txt").write_text("1 0 0 0.5 0 0.5 1 0 1\n\n")
        (tmp_path / "classes.txt").write_text("cup\nplate\n")
        found = read_masks(tmp_path, {"a.jpg": (4, 6)})["a.jpg"]
        assert found.areas.tolist() == [12]
        assert found.names[1] == "plate"

    def test_notes_beside_label_pictures_are_no_yolo(self, tmp_path: Path):
        (tmp_path / "readme.txt").write_text("Hello")
        as_png(TALL, tmp_path / "a.png")
        assert list(read_masks(tmp_path)) == ["a"]
        assert list(read_masks(tmp_path, {"a.jpg": (5, 3)})) == ["a.jpg"]

    def test_labelmes_shapes_become_masks(self, tmp_path: Path):
        stream = io.BytesIO()
        Image.fromarray(RING).save(stream, "PNG")
        shapes = [
            {"label": "a", "points": [[0, 0], [2, 0], [2, 2], [0, 2]], "group_id": 1},
            {"label": "a", "points": [[8, 8], [10, 9]], "shape_type": "rectangle", "group_id": 1},
            {"label": "b", "points": [[5, 5], [9, 5]], "shape_type": "circle"},
            {"label": "c", "points": [[1, 1], [4, 4]], "shape_type": "line"},
            {
                "label": "d",
                "points": [[2, 3], [6, 7]],
                "shape_type": "mask",
                "mask": base64.b64encode(stream.getvalue()).decode(),
            },
        ]
        content = {
            "shapes": shapes,
            "imagePath": "..\\images\\a.jpg",
            "imageHeight": 10,
            "imageWidth": 10,
        }
        found = read_masks(as_json(content, tmp_path / "a.json"))["a.jpg"]
        assert found.category_ids is not None
        assert [found.names[i] for i in found.category_ids.tolist()] == ["a", "b", "d"]
        assert found.areas[0] == 4 + 2
        assert found.areas[1] == pytest.approx(np.pi * 16, rel=0.1)
        np.testing.assert_array_equal(found.masks[2, 3:8, 2:7], RING)

    def test_a_label_has_one_number_in_all_files(self, tmp_path: Path):
        for name, labels in (("a", ["dog", "cat"]), ("b", ["cat"])):
            shapes = [{"label": label, "points": [[0, 0], [2, 0], [2, 2]]} for label in labels]
            content = {"shapes": shapes, "imagePath": name, "imageHeight": 4, "imageWidth": 4}
            as_json(content, tmp_path / f"{name}.json")
        found = read_masks(tmp_path)
        assert found["b"].category_ids is not None and found["a"].category_ids is not None
        assert found["b"].category_ids[0] == found["a"].category_ids[1]


class TestOneMaskAFile:
    def test_a_folder_a_picture(self, tmp_path: Path):
        for i, mask in enumerate([TALL, ~TALL]):
            as_png(mask, tmp_path / "cat" / f"{i}.png")
        as_png(TALL, tmp_path / "dog" / "0.png")
        found = read_masks(tmp_path)
        np.testing.assert_array_equal(found["cat"].masks, [TALL, ~TALL])
        assert len(found["dog"]) == 1

    def test_a_folder_of_a_wanted_pictures_name(self, tmp_path: Path):
        for name, mask in (("cup", TALL), ("plate", ~TALL)):
            as_png(mask, tmp_path / "sea" / f"{name}.png")
        assert len(read_masks(tmp_path, {"sea.jpg": (5, 3)})["sea.jpg"]) == 2
        assert list(read_masks(tmp_path)) == ["sea/cup", "sea/plate"]

    def test_numbers_behind_the_pictures_names_in_a_zip(self, tmp_path: Path):
        with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
            for i in range(11):
                mask = np.zeros((2, 11), np.uint8)
                mask[0, i] = 255
                as_png(mask, tmp_path / "one.png")
                archive.write(tmp_path / "one.png", f"out/2007_000032_mask_{i}.png")
            archive.writestr("out/readme.md", "hello")
            archive.writestr("__MACOSX/out/._2007_000032_mask_1.png", "x")
        found = read_masks(tmp_path / "masks.zip", {"2007_000032.jpg": (2, 11)})
        np.testing.assert_array_equal(found["2007_000032.jpg"].masks[:, 0], np.eye(11))

    def test_numbers_alone_belong_to_the_archive(self, tmp_path: Path):
        with zipfile.ZipFile(tmp_path / "beach.zip", "w") as archive:
            for i, mask in enumerate([TALL, ~TALL]):
                archive.write(as_png(mask, tmp_path / "one.png"), f"{i}.png")
        assert len(read_masks(tmp_path / "beach.zip", {"beach.jpg": (5, 3)})["beach.jpg"]) == 2

    def test_pictures_whose_names_end_in_numbers_are_told_apart(self, tmp_path: Path):
        for number in (32, 33):
            as_png(TALL, tmp_path / f"2007_0000{number}.png")
        assert sorted(read_masks(tmp_path)) == ["2007_000032", "2007_000033"]
        wanted = {"2007_000033.jpg": (5, 3)}
        assert list(read_masks(tmp_path, wanted)) == ["2007_000033.jpg"]

    def test_a_zip_of_json_is_read_like_the_json(self, tmp_path: Path):
        path = as_json(coco([packed(TALL)], TALL.shape), tmp_path / "c.json")
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            archive.write(path, "annotations/instances_default.json")
        assert len(read_masks(tmp_path / "export.zip")["a.jpg"]) == 1
