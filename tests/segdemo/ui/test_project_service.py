"""The page's server functions on a project, as two annotators' browsers call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segdemo.annotations import read_masks
from segdemo.datatypes import InputError
from segdemo.editing.sessions import SessionStore
from segdemo.projects.background import Models, Worker
from segdemo.projects.leases import LeaseTakenError
from segdemo.projects.project import Project
from segdemo.ui.refine.export import SCOPES, export_masks
from segdemo.ui.refine.messages import picture_message
from segdemo.ui.refine.project_service import ROWS
from segdemo.ui.refine.project_session import NOTHING_LEFT, ProjectSession, ProjectStore
from segdemo.ui.refine.service import EditorService
from tests.segdemo.projects.scenes import HEIGHT, WIDTH, labels, photos
from tests.segdemo.projects.test_background import edges, prompt, propose


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    project = Project(photos(tmp_path / "project", 3))
    worker = Worker(project, Models(edges, propose, prompt))
    yield ProjectStore(SessionStore(tmp_path / "sessions"), project, worker, asks_names=True)
    project.close()


@pytest.fixture
def ada(store: ProjectStore) -> ProjectSession:
    return store.enter("Ada")


@pytest.fixture
def bob(store: ProjectStore) -> ProjectSession:
    return store.enter("Bob")


def caller(store: ProjectStore, session: ProjectSession) -> Any:
    functions = {one.__name__: one for one in EditorService(store, prompt).functions}

    def call(name: str, **request: Any) -> dict[str, Any]:
        return functions[name]({"token": session.token, **request})

    return call


def test_a_page_changes_only_the_image_that_it_has_leased(
    store: ProjectStore, ada: ProjectSession, bob: ProjectSession
):
    told = picture_message(ada, 1)["picture"]
    with pytest.raises(LeaseTakenError, match="Ada has this image open"):
        picture_message(bob, 1)
    request = {"picture": 1, "lease": told["lease"], "checked": True}
    assert "Ada has this image open" in caller(store, bob)("describe", **request)["error"]
    answer = caller(store, ada)("describe", **request)
    assert answer["project"]["counts"]["checked"] == 1
    assert caller(store, bob)("describe", **request)["final"]


def test_an_image_is_free_once_its_annotator_opens_another(
    ada: ProjectSession, bob: ProjectSession
):
    picture_message(ada, 1)
    assert bob.step(1, "next") == 2
    picture_message(ada, 3)
    picture_message(bob, 1)
    with pytest.raises(InputError, match="last photo"):
        bob.step(3, "forward")
    assert bob.step(1, "forward") == 2  # 3 is Ada's, 2 is Bob's own


def test_the_next_image_passes_over_what_is_done(store: ProjectStore, ada: ProjectSession):
    for image in (2, 3):
        store.project.board.set(image, state="checked")
    picture_message(ada, 1)
    with pytest.raises(InputError) as problem:
        ada.step(1, "next")
    assert str(problem.value) == NOTHING_LEFT


def test_the_list_comes_in_pages_with_thumbnails_on_demand(
    store: ProjectStore, ada: ProjectSession, bob: ProjectSession
):
    picture_message(bob, 2)
    call = caller(store, ada)
    told = call("list_images", picture=1, search="P", state="new")
    assert (told["total"], told["pages"]) == (3, 1) and len(told["rows"]) <= ROWS
    assert [row["holder"] for row in told["rows"]] == ["", "Bob", ""]
    thumbs = call("thumbnails", pictures=[1, 3])["thumbs"]
    assert sorted(thumbs) == ["1", "3"]
    assert thumbs["1"].startswith("data:image/jpeg;base64,")


def test_what_is_sent_back_shows_its_note(
    store: ProjectStore, ada: ProjectSession, bob: ProjectSession
):
    call = caller(store, bob)
    lease = picture_message(bob, 1)["picture"]["lease"]
    assert "Say what is to be changed" in call("send_back", picture=1, lease=lease)["error"]
    assert call("send_back", picture=1, lease=lease, note=" the  ear ")["counts"]["rejected"] == 1
    picture_message(bob, 2)
    assert picture_message(ada, 1)["project"]["note"] == "the ear"


def test_prepared_proposals_come_with_the_image(store: ProjectStore, ada: ProjectSession):
    call = caller(store, ada)
    assert call("start_all", kind="propose", method="diffdis")["added"] == 3
    assert "choose one of" in call("start_all", kind="rip", preset="best")["error"]
    store.worker.work_off()
    assert call("tasks")["tasks"]["propose"]["done"] == 3
    told = picture_message(ada, 1)
    assert told["picture"]["revision"] == 1 and told["proposals"] is None
    assert call("tasks")["tasks"]["propose"]["seen"] == 1


def test_the_page_exports_the_project(store: ProjectStore, ada: ProjectSession):
    picture_message(ada, 1)
    ada.image(1).edit(lambda _: labels().astype(np.uint16), "Draw")
    file, _ = export_masks(ada, 1, SCOPES[0], "coco")
    read = read_masks(file, {"p0.png": (HEIGHT, WIDTH)})
    assert np.array_equal(np.sort(read["p0.png"].areas), [100, 200])
    with pytest.raises(InputError, match="No photo is checked"):
        export_masks(ada, 1, SCOPES[2], "coco")


def test_uploads_have_sessions_beside_the_project(store: ProjectStore, ada: ProjectSession):
    upload = store.create()
    assert not isinstance(store.open(upload.token), ProjectSession)
    told = caller(store, ada)("list_sessions", tokens=[ada.token, upload.token, "x" * 22])
    assert [one.get("title") for one in told["sessions"]] == ["project", "", None]
    assert "on its disk" in caller(store, ada)("delete_session")["error"]
    assert (store.project.root / "p0.png").exists()
