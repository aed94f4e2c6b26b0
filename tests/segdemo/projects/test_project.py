"""A folder of images as a project: masks in, results out, states kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.annotations import read_masks
from segdemo.annotations.class_file import read_classes
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.editing.image import EditedImage
from segdemo.editing.storage import Instance
from segdemo.projects.layout import scan
from segdemo.projects.project import Project
from tests.segdemo.projects.scenes import HEIGHT, WIDTH, coco, labels, photo, photos


def merge(picture: EditedImage) -> None:
    picture.edit(lambda before: np.where(before == 2, 1, before).astype(np.uint16), "Merge")


def digest(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("p*.png")}


def number(project: Project, name: str) -> int:
    record = project.board.find(name)
    assert record is not None
    return record.id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return photos(tmp_path / "cats")


def test_images_are_told_from_masks_of_them(tmp_path: Path):
    photo(tmp_path / "images" / "a.png")
    photo(tmp_path / "images" / "b.jpg")
    Image.fromarray(labels()).save(tmp_path / "images" / "b.png")  # grey: the masks of b.jpg
    photo(tmp_path / "images" / "a_mask.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(labels()).save(tmp_path / "masks" / "a.png")
    coco(tmp_path / "instances.json", "a.png")
    found = scan(tmp_path)
    assert found.images == ["images/a.png", "images/b.jpg"]
    assert [path.name for path in found.own["images/b.jpg"]] == ["b.png"]
    assert {path.name for path in found.own["images/a.png"]} == {"a.png", "a_mask.png"}
    assert [path.name for path in found.shared] == ["instances.json"]


def test_masks_found_beside_the_images_are_taken_in_and_left_as_they_are(folder: Path):
    Image.fromarray(labels()).save(folder / "p0_mask.png")
    given = coco(folder / "all.json", "p1.png").read_bytes()
    project = Project(folder)
    assert project.image(number(project, "p0.png")).count == 2
    picture = project.image(number(project, "p1.png"))
    assert picture.labels[10, 10] == 1 and picture.count == 1
    assert project.classes.known.names == {3: "cat"}
    assert picture.instances[1].category == 3
    assert not [path for path in (folder / "annotations").iterdir() if path.suffix == ".png"]
    assert (folder / "all.json").read_bytes() == given
    project.close()


def test_an_edit_is_saved_beside_the_image_at_once_and_its_undo_survives(folder: Path):
    Image.fromarray(labels()).save(folder / "p0_mask.png")
    images = digest(folder)
    project = Project(folder)
    image = number(project, "p0.png")
    project.classes.name({4: "dog"})
    picture = project.image(image)
    picture.describe({2: Instance(category=4, score=0.5)})
    merge(picture)
    picture.edit(lambda before: np.where(labels() == 2, 9, before).astype(np.uint16), "Split")
    picture.describe({9: Instance(category=4)}, checked=True)
    project.edited.settle()
    ids = np.asarray(Image.open(folder / "annotations" / "p0.png"))
    assert np.array_equal(ids, np.where(labels() == 2, 9, labels()))  # the editor's own numbers
    read = read_masks(folder / "annotations", {"p0.png": (HEIGHT, WIDTH)})
    assert not read.notes
    names = [read["p0.png"].names[int(n)] for n in read["p0.png"].category_ids]
    assert names == ["unlabelled", "dog"]
    assert project.board.counts() == {"new": 3, "in work": 0, "checked": 1, "rejected": 0}
    assert digest(folder) == images
    project.close()

    again = Project(folder)
    assert [step.what for step in again.image(image).history().undo] == ["Merge", "Split"]
    again.close()


@pytest.mark.parametrize("lost", ["project.sqlite", ""])
def test_whoever_deletes_the_database_loses_no_mask(folder: Path, lost: str):
    project = Project(folder)
    image = number(project, "p2.png")
    project.classes.name({1: "cat"})
    picture = project.image(image)
    picture.edit(lambda _: labels().astype(np.uint16), "Draw")
    picture.describe({1: Instance(category=1), 2: Instance(category=1)}, checked=True)
    project.close()
    if lost:
        for path in (folder / ".segdemo").glob(f"{lost}*"):
            path.unlink()
    else:
        shutil.rmtree(folder / ".segdemo")
    again = Project(folder)
    record = again.board.get(number(again, "p2.png"))
    assert record.state == ("checked" if lost else "in work")
    assert np.array_equal(again.masks(record).to_label_map().labels, labels())
    assert again.masks(record).names == {1: "cat"}
    assert np.array_equal(again.image(record.id).labels, labels())
    again.close()


def test_what_a_killed_process_had_not_written_is_written_by_the_next(folder: Path):
    project = Project(folder)
    image = number(project, "p1.png")
    picture = project.image(image)
    picture.written = None  # it dies between journal and result
    picture.edit(lambda _: labels().astype(np.uint16), "Draw")
    project.board.set(image, unsaved=1)
    project.close()
    assert not (folder / "annotations" / "p1.png").exists()
    again = Project(folder)
    again.edited.settle()
    assert np.array_equal(np.asarray(Image.open(folder / "annotations" / "p1.png")), labels())
    again.close()


def test_a_result_that_another_program_changed_is_taken_over_as_an_edit(folder: Path):
    project = Project(folder)
    image = number(project, "p0.png")
    merge(project.image(image))
    project.image(image).edit(lambda _: labels().astype(np.uint16), "Draw")
    project.close()
    other = np.zeros_like(labels())
    other[1:9, 1:9] = 5
    Image.fromarray(other).save(folder / "annotations" / "p0.png")
    again = Project(folder)
    picture = again.image(image)
    assert np.array_equal(picture.labels > 0, other > 0)
    assert picture.history().undo[-1].what == "Changed by another program"
    again.close()


def test_labelme_finds_the_image_from_a_result_in_its_form(tmp_path: Path):
    photo(tmp_path / "street" / "a.png")
    project = Project(tmp_path, "labelme")
    image = number(project, "street/a.png")
    project.classes.name({1: "cat"})
    picture = project.image(image)
    picture.edit(lambda _: labels().astype(np.uint16), "Draw")
    picture.describe({1: Instance(category=1)})
    project.close()
    file = tmp_path / "annotations" / "street" / "a.json"
    content = json.loads(file.read_text())
    assert [shape["label"] for shape in content["shapes"]] == ["cat", "object"]
    assert (file.parent / content["imagePath"]).resolve() == tmp_path / "street" / "a.png"
    again = Project(tmp_path)  # remembers its form
    masks = again.masks(again.board.get(image))
    assert np.array_equal(masks.to_label_map().labels > 0, labels() > 0)
    again.close()


def test_two_images_whose_names_differ_in_their_ending_have_results_of_their_own(tmp_path: Path):
    photo(tmp_path / "a.png")
    photo(tmp_path / "a.jpg")
    project = Project(tmp_path)
    assert {record.result for record in project.board.all()} == {"a.png", "a.jpg"}
    for record in project.board.all():
        project.image(record.id).edit(lambda _: labels().astype(np.uint16), "Draw")
    project.close()
    written = {path.name for path in (tmp_path / "annotations").glob("*.png")}
    assert written == {"a.png.png", "a.jpg.png"}
    assert Project(tmp_path).board.counts()["in work"] == 2


def test_a_damaged_database_is_moved_aside(folder: Path):
    Project(folder).close()
    for path in (folder / ".segdemo").glob("project.sqlite*"):
        path.write_bytes(b"no database, " * 100)
    project = Project(folder)
    assert project.board.counts()["new"] == 4
    assert list((folder / ".segdemo").glob("project.sqlite.damaged-*"))
    project.close()


def test_images_that_came_or_went_are_noticed(folder: Path):
    Project(folder).close()
    (folder / "p0.png").rename(folder / "p9.png")
    project = Project(folder)
    assert [record.name for record in project.board.all()] == [f"p{n}.png" for n in (1, 2, 3, 9)]
    project.close()


def test_the_board_is_paged_filtered_and_searched(folder: Path):
    project = Project(folder)
    board = project.board
    board.set(number(project, "p1.png"), state="checked")
    assert [one.name for one in board.page(3, 1).rows] == ["p3.png"]
    assert board.page(3, 99).number == 1  # the last there is
    assert [one.name for one in board.page(9, 0, ["new"], "P1").rows] == []
    assert board.page(9, 0, ["checked"], "P1").total == 1
    assert board.place("p2.png", ["new"]) == 1
    project.close()


def test_thumbnails_are_made_when_asked_for_and_kept_in_the_database(folder: Path):
    project = Project(folder)
    record = project.board.get(1)
    first = project.thumbnail(record)
    assert first[:2] == b"\xff\xd8" and project.thumbnail(record) == first
    photo(folder / "p0.png", seed=99)
    assert project.thumbnail(record) != first
    assert not list((folder / ".segdemo").glob("**/*.jpg"))
    project.close()


def test_masks_of_another_size_are_told_of(folder: Path):
    project = Project(folder)
    merge(project.image(1))
    project.image(1).edit(lambda _: labels().astype(np.uint16), "Draw")
    project.close()
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(folder / "p0.png")
    again = Project(folder)
    with pytest.raises(InputError, match=r"p0\.png is 10 x 10 now, its masks 50 x 40"):
        again.image(1)
    again.close()


def test_a_folder_without_images_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="holds no images"):
        Project(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        Project(tmp_path / "none")


def test_given_masks_replace_those_of_an_image_and_can_be_undone(folder: Path):
    project = Project(folder)
    given = InstanceMasks.from_label_map(labels().astype(np.int64))
    project.set_masks(project.board.get(2), given, "ada")  # never opened
    project.image(1).edit(lambda _: (labels() == 1).astype(np.uint16), "Draw")
    project.set_masks(project.board.get(1), given, "ada")
    assert project.image(1).count == project.image(2).count == 2
    assert project.image(1).history().undo[-1].what == "Import"
    assert read_classes(folder / "annotations" / "classes.json").names == {}
    project.close()
