"""What programs prepare for all images, and how an annotator gets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.edge_files import gradient_edges
from segdemo.projects.background import Models, Worker
from segdemo.projects.prepared import Edges
from segdemo.projects.project import Project
from segdemo.projects.tasks import SECONDS, Task, Tasks
from segdemo.prompting.interface import PromptedMask
from tests.segdemo.projects.scenes import HEIGHT, WIDTH, coco, labels, photos


def edges(image: RGBImage, source: str) -> Edges:
    return Edges(gradient_edges(image).probability, source, "gradient")


def cut(image: RGBImage, source: str) -> Edges:
    """An edge between the columns 9 and 10: through the first square."""
    scores = np.zeros(image.shape[:2], np.float32)
    scores[:, 9:11] = 1
    return Edges(scores, source, "drawn")


def propose(image: RGBImage, method: str) -> InstanceMasks:
    return InstanceMasks.from_label_map(labels().astype(np.int64))


def prompt(image: RGBImage, prompts) -> list[PromptedMask]:
    """Fill each box."""
    found = []
    for one in prompts:
        left, top, right, bottom = (int(side) for side in one.box)
        mask = np.zeros(image.shape[:2], np.float32)
        mask[top:bottom, left:right] = 1
        found.append(PromptedMask(mask, 0.9))
    return found


@pytest.fixture
def project(tmp_path: Path):
    opened = Project(photos(tmp_path))
    yield opened
    opened.close()


def worker(project: Project, find_edges=edges) -> Worker:
    return Worker(project, Models(find_edges, propose, prompt))


def test_first_masks_and_edges_wait_until_an_annotator_opens_the_image(project: Project):
    hands = worker(project)
    assert hands.add_for_all("edges", "gradient") == 4
    assert hands.add_for_all("propose", "diffdis") == 4
    assert project.tasks.counts()["edges"]["waiting"] == 4
    assert hands.work_off() == 8
    assert project.tasks.counts()["propose"] == {"waiting": 0, "done": 4, "failed": 0, "seen": 0}
    assert not (project.root / "annotations").exists()
    assert project.board.counts()["new"] == 4

    project.leases.take(1, "ada", "tab")
    project.open_prepared(1)
    picture = project.image(1)
    assert picture.count == 2 and picture.edges == ("gradient", "gradient")
    assert picture.history().undo[-1].what == "Proposed"
    assert project.tasks.counts()["propose"]["seen"] == 1


def test_rip_for_all_waits_for_a_decision(tmp_path: Path):
    photos(tmp_path, 2)
    Image.fromarray(labels()).save(tmp_path / "p0_mask.png")
    project = Project(tmp_path)
    hands = worker(project, cut)
    hands.add_for_all("rip", "robust drawn")
    hands.work_off()
    before = project.masks(project.board.get(1)).areas
    assert np.array_equal(np.sort(before), [100, 200])  # nothing has changed
    project.leases.take(1, "ada", "tab")
    offered = project.open_prepared(1)
    assert offered is not None and offered.changes
    picture = project.image(1)
    assert picture.revision == 0
    picture.accept(range(len(offered.changes)))
    assert picture.revision == 1 and not np.array_equal(picture.labels, labels())
    assert project.open_prepared(1) is None
    project.close()


def test_proposals_for_masks_that_were_edited_meanwhile_are_dropped(tmp_path: Path):
    photos(tmp_path, 1)
    Image.fromarray(labels()).save(tmp_path / "p0_mask.png")
    project = Project(tmp_path)
    hands = worker(project, cut)
    hands.add_for_all("rip", "robust drawn")
    hands.work_off()
    project.image(1).edit(lambda before: np.where(before == 1, 0, before).astype(np.uint16), "Cut")
    assert project.open_prepared(1) is None
    project.close()


def test_boxes_beside_the_images_become_masks_of_their_classes(tmp_path: Path):
    photos(tmp_path, 2)
    coco(tmp_path / "boxes.json", "p1.png", with_mask=False)
    project = Project(tmp_path)
    hands = worker(project)
    assert hands.add_for_all("boxes") == 1
    hands.work_off()
    project.leases.take(2, "ada", "tab")
    project.open_prepared(2)
    picture = project.image(2)
    assert np.count_nonzero(picture.labels) == 100
    assert [project.classes.known.names[one.category] for one in picture.instances.values()] == [
        "cat"
    ]
    project.close()


def test_without_boxes_there_is_nothing_to_make_masks_of(project: Project):
    with pytest.raises(InputError, match="has boxes"):
        worker(project).add_for_all("boxes")


def test_one_image_that_fails_is_told_of_and_the_others_go_on(project: Project):
    (project.root / "p1.png").write_bytes(b"no image")
    hands = worker(project)
    hands.add_for_all("edges", "gradient")
    hands.work_off()
    assert project.tasks.counts()["edges"] == {"waiting": 0, "done": 3, "failed": 1, "seen": 0}
    assert "p1.png" in project.tasks.failures()[0]
    assert hands.add_for_all("edges", "gradient") == 1  # it alone is tried again


def test_what_a_killed_process_had_claimed_another_takes_up(project: Project):
    now = [1000.0]
    tasks = Tasks(project.database, lambda: now[0])
    tasks.add("edges", [1, 2], "gradient")
    first = tasks.claim("killed")
    assert first == Task(1, "edges", "gradient")
    assert tasks.claim("other") == Task(2, "edges", "gradient")
    assert tasks.claim("other") is None
    now[0] += SECONDS + 1
    assert tasks.claim("other") == first


def test_what_an_annotator_opens_next_comes_first(project: Project):
    project.tasks.add("edges", [1, 2, 3, 4])
    project.tasks.urge(3)
    claimed = [project.tasks.claim("one") for _ in range(4)]
    assert [task.image for task in claimed if task] == [3, 1, 2, 4]


def test_an_image_that_somebody_has_open_is_done_later(project: Project):
    project.leases.take(1, "ada", "tab")
    hands = worker(project)
    hands.add_for_all("edges", "gradient")
    hands.work_off()
    counts = project.tasks.counts()["edges"]
    assert (counts["done"], counts["waiting"]) == (3, 1)
    project.tasks.stop()
    assert project.tasks.counts()["edges"]["waiting"] == 0


def test_prepared_things_come_back_as_they_were(project: Project):
    prepared = project.prepared(project.board.get(1))
    scores = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    prepared.set_edges(Edges(scores, "small", "an edge generator"))
    found = prepared.edges()
    assert found is not None and (found.source, found.label) == ("small", "an edge generator")
    assert np.abs(found.scores - scores).max() <= 0.5 / 255 + 1e-6
    prepared.clear()
    assert not prepared and prepared.edges() is None and prepared.proposals() is None
