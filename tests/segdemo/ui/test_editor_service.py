"""The mask editor's server functions, as a browser or an attacker calls them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import InstanceMasks, RGBImage
from segdemo.editing.patches import pack, unpack_labels
from segdemo.editing.sessions import Session, SessionStore
from segdemo.prompting.interface import PromptedMask, check_prompt
from segdemo.prompting.prompts import Prompt
from segdemo.rip.settings import PAPER
from segdemo.ui.refine.messages import picture_message
from segdemo.ui.refine.opening import PHOTO, THUMBNAIL, VIEW
from segdemo.ui.refine.service import EditorService


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


@pytest.fixture
def session(store: SessionStore, tmp_path: Path) -> Session:
    opened = store.create()
    y, x = np.mgrid[:120, :160]
    discs = [(y - 60) ** 2 + (x - c) ** 2 <= 30**2 for c in (45, 104)]
    files = {name: tmp_path / name for name in (VIEW, THUMBNAIL)}
    for file in files.values():
        file.write_bytes(b"a picture")
    files[PHOTO] = tmp_path / PHOTO
    Image.new("RGB", (160, 120)).save(files[PHOTO], "PNG")
    opened.add("discs.png", InstanceMasks.unscored(np.stack([discs[0] | discs[1]])), files)
    edge = np.zeros((120, 160), np.float32)
    edge[:, 73:76] = 1
    opened.image(0).set_edges(edge, "upload", "edge.png")
    return opened


def find_half(image: RGBImage, prompts: Sequence[Prompt]) -> list[PromptedMask]:
    """Answer a box with its left half and the pixels that clicks hit, as the mask so far grows."""
    answers = []
    for prompt in prompts:
        check_prompt(prompt, (image.shape[0], image.shape[1]))
        mask = np.zeros(image.shape[:2], np.float32) if prompt.mask is None else prompt.mask.copy()
        if prompt.box is not None:
            left, top, right, bottom = prompt.box.astype(int)
            mask[top:bottom, left : (left + right) // 2] = 1
        for (x, y), positive in zip(prompt.points, prompt.labels, strict=True):
            mask[int(y), int(x)] = positive
        answers.append(PromptedMask(mask, 0.75))
    return answers


@pytest.fixture
def call(store: SessionStore, session: Session) -> Any:
    service = EditorService(store, find_half)
    functions = {function.__name__: function for function in service.functions}

    def called(name: str, **request: Any) -> dict[str, Any]:
        return functions[name]({"token": session.token, "picture": 0, **request})

    return called


def packed(labels: np.ndarray) -> str:
    return base64.b64encode(pack(labels.astype("<u2"))).decode()


def patch(revision: int, **changes: Any) -> dict[str, Any]:
    values = {"x": 3, "y": 4, "width": 6, "height": 2, "labels": packed(np.full((2, 6), 9))}
    return {"revision": revision, "what": "Brush", **values, **changes}


def test_a_stroke_arrives_and_its_class_with_it(call: Any, session: Session) -> None:
    assert call("apply_patch", **patch(1, instances={"9": {"class": 4}})) == {"revision": 1}
    picture = session.image(0)
    assert (picture.labels[4:6, 3:9] == 9).all()
    assert picture.instances[9].category == 4


def test_a_missed_stroke_asks_for_the_whole_map(call: Any, session: Session) -> None:
    answer = call("apply_patch", **patch(2))
    assert answer["behind"] and "different edits" in answer["error"]
    whole = np.zeros((120, 160), np.uint16)
    whole[:5] = 7
    assert call("save_all", revision=2, labels=packed(whole), instances={}) == {"revision": 2}
    assert (session.image(0).labels == whole).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": 158},
        {"y": -1},
        {"width": 10**9},
        {"height": 0},
        {"labels": "not base64!"},
        {"labels": packed(np.zeros((500, 500)))},
        {"labels": None},
        {"x": "left"},
        {"instances": {"70000": {}}},
        {"instances": {"9": {"class": -3}}},
        {"instances": {"9": None}},
        {"instances": "all"},
    ],
)
def test_damaged_strokes_are_refused_and_change_nothing(
    wrong: dict[str, Any], call: Any, session: Session
) -> None:
    before = session.image(0).labels.copy()
    assert call("apply_patch", **patch(1, **wrong)) == {"error": "The edit arrived damaged."}
    assert (session.image(0).labels == before).all()
    assert session.image(0).revision == 0


def test_strangers_get_nothing(call: Any) -> None:
    for token in ("x" * 22, "../../etc", None, 5):
        assert "not here any more" in call("apply_patch", **patch(1), **{"token": token})["error"]
    assert "no such image" in call("apply_patch", **patch(1), picture=7)["error"]


@pytest.mark.parametrize(
    ("operation", "options"),
    [("smooth", {"radius": 3}), ("grow", {"radius": 2}), ("shrink", {})],
)
def test_an_operation_answers_with_the_pixels_that_changed(
    operation: str, options: dict[str, Any], call: Any, session: Session
) -> None:
    before = session.image(0).labels.copy()
    answer = call("operate", operation=operation, ids=[1], options=options, revision=0)
    drawn = unpack_labels(base64.b64decode(answer["labels"]), answer["height"], answer["width"])
    x, y = answer["x"], answer["y"]
    before[y : y + answer["height"], x : x + answer["width"]] = drawn
    assert answer["revision"] == 1
    assert (session.image(0).labels == before).all()


def test_seeds_divide_along_the_edge(call: Any, session: Session) -> None:
    strokes = {"strokes": [[[40, 60], [50, 60]], [[110, 60]]], "size": 3}
    answer = call("operate", operation="seeds", ids=[1], options=strokes, revision=0)
    assert list(answer["instances"]) == ["2"] and answer["what"] == "Divide by seeds"
    labels = session.image(0).labels
    assert labels[60, 40] != labels[60, 110]


def test_scribbles_make_instances_on_free_ground(call: Any, session: Session) -> None:
    before = session.image(0).labels.copy()
    strokes = {"strokes": [[[5, 5], [5, 110]], [[150, 5]]], "background": [False, True], "size": 2}
    answer = call("operate", operation="scribbles", ids=[], options=strokes, revision=0)
    assert list(answer["instances"]) == ["2"]
    labels = session.image(0).labels
    assert (labels[before == 1] == 1).all()
    assert labels[60, 5] == 2 and labels[5, 150] == 0
    nothing = {"strokes": [[[45, 60]]], "background": [False], "size": 2}
    answer = call("operate", operation="scribbles", ids=[], options=nothing, revision=1)
    assert "no instance has" in answer["error"]


def test_operations_that_are_none_are_named(call: Any) -> None:
    answer = call("operate", operation="__import__", ids=[1], options={}, revision=0)
    assert answer == {"error": "There is no operation '__import__'."}


def test_a_proposal_is_accepted_and_told(call: Any, session: Session) -> None:
    proposals = session.image(0).preview(PAPER)
    assert [change.text for change in proposals.changes] == ["split 1 into 2 parts"]
    answer = call("accept", proposals=[0], revision=0)
    assert answer["note"] == "Accepted: split 1 into 2 parts."
    assert session.image(0).count == 2
    assert "edited since" in call("accept", proposals=[0], revision=1)["error"]
    assert "not there any more" in call("accept", proposals=[4], revision=1)["error"]


def test_what_is_said_of_pictures_and_classes_stays(call: Any, session: Session) -> None:
    answer = call("describe", checked=True, classes={"3": "cup"}, instances={"1": {"class": 3}})
    assert answer["queue"] == [{"index": 0, "name": "discs.png", "count": 1, "state": "checked"}]
    assert session.classes == {3: "cup"}
    assert session.image(0).instances[1].category == 3
    call("describe", classes={"3": "", "4": "mug"})  # a class without a name is removed
    assert session.classes == {4: "mug"}


def test_a_picture_is_edited_in_one_tab_at_a_time(call: Any, session: Session) -> None:
    first = picture_message(session, 0)["picture"]["lease"]
    second = picture_message(session, 0)["picture"]["lease"]
    assert "another tab" in call("apply_patch", **patch(1), lease=first)["error"]
    assert "another tab" in call("save_all", revision=1, labels="", lease=first)["error"]
    assert call("apply_patch", **patch(1), lease=second) == {"revision": 1}


def test_a_browser_sees_all_its_sessions_and_nothing_else(
    call: Any, store: SessionStore, session: Session
) -> None:
    other = store.create().token
    call("rename_session", title="  Cups\n on Monday ")
    mine, gone = call("list_sessions", tokens=[session.token, "x" * 22, 5])["sessions"]
    assert (mine["title"], mine["first"], mine["count"]) == ("Cups on Monday", "discs.png", 1)
    assert mine["thumb"].startswith("data:image/jpeg;base64,") and mine["used"] > 1e9
    assert gone == {"token": "x" * 22, "gone": True}
    assert call("delete_session") == {}
    assert call("list_sessions", tokens=[session.token])["sessions"][0]["gone"]
    assert store.open(other).token == other


def test_a_removed_image_leaves_the_queue(call: Any) -> None:
    assert call("remove_image") == {"queue": []}
    assert "no such image" in call("apply_patch", **patch(1))["error"]


def test_a_full_disk_is_said_and_nothing_is_changed(
    call: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.write", full)
        answer = call("apply_patch", **patch(1))
    assert answer == {"error": "The server cannot write this (No space left on device)."}
    assert session.image(0).revision == 0
    assert call("apply_patch", **patch(1)) == {"revision": 1}


def test_a_reload_brings_the_steps_that_undo_goes_back_to(call: Any, session: Session) -> None:
    call("apply_patch", **patch(1, what="Brush"))
    history = picture_message(session, 0)["picture"]["history"]
    assert history["undo"] == [{"what": "Brush", "box": [3, 4, 9, 6], "place": 0}]
    packed_values = Path(history["file"]["path"]).read_bytes()
    assert not unpack_labels(packed_values, 2, 6).any()


def test_one_damaged_image_is_marked_and_the_others_are_shown(
    call: Any, session: Session, tmp_path: Path
) -> None:
    session.add("b.png", InstanceMasks.unscored(np.ones((1, 9, 9), bool)), {})
    for file in (tmp_path / "sessions" / session.token / "0001").iterdir():
        file.write_bytes(b"")
    queue = picture_message(session, 0)["queue"]
    assert [row["state"] for row in queue] == ["new", "damaged"]
    assert "b.png" in queue[1]["damage"]


def test_a_box_and_clicks_get_a_mask_and_change_nothing(call: Any, session: Session) -> None:
    answer = call("prompt", box=[10, 20, 30, 40], clicks=[])
    assert (answer["box"], answer["score"]) == ([10, 20, 20, 40], 0.75)
    so_far = {"box": answer["box"], "labels": answer["labels"]}
    answer = call("prompt", box=None, clicks=[[50.5, 30.5, True], [10.5, 20.5, False]], mask=so_far)
    assert answer["box"] == [10, 20, 51, 40]
    mask = unpack_labels(base64.b64decode(answer["labels"]), 20, 41)
    assert mask.sum() == 200
    assert mask[0, 0] == 0
    assert session.image(0).revision == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "give a box or at least one click"),
        ({"box": [1, 2, 3]}, "A box is four numbers"),
        ({"box": [500, 2, 600, 9]}, "holds no pixel of the 160 x 120 image"),
        ({"clicks": [[1, 2]]}, "a click three"),
        ({"clicks": [[float("nan"), 2, 1]]}, "must be numbers"),
        ({"clicks": [[5, 5, 0]]}, "No object was found"),
        ({"box": [1, 2, 9, 9], "mask": {"box": [0, 0, 900, 9], "labels": ""}}, "damaged"),
    ],
)
def test_prompts_that_make_no_sense_are_said(call: Any, wrong: dict[str, Any], said: str) -> None:
    assert said in call("prompt", **wrong)["error"]
