"""What an annotator did survives; what another did stays apart."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdemo.datatypes import InputError, InstanceMasks
from segdemo.editing import storage
from segdemo.editing.image import EditedImage, EditLockLostError, RevisionConflictError
from segdemo.editing.masks import flatten_masks, to_runs
from segdemo.editing.patches import Patch, difference, pack, unpack_labels
from segdemo.editing.sessions import Session, SessionStore
from segdemo.editing.shapes import grow
from segdemo.editing.storage import Instance, Summary


def masks(categories: list[int] | None = None, names: dict[int, str] | None = None):
    stack = np.zeros((3, 40, 50), bool)
    stack[0, 5:15, 5:15] = stack[0, 5:15, 30:40] = True
    stack[1, 20:35, 10:20] = True
    stack[2, 30:38, 15:30] = True
    ids = None if categories is None else np.array(categories, np.int64)
    return InstanceMasks.unscored(stack, ids, names)


def split_first(labels: np.ndarray) -> np.ndarray:
    """Make a new instance of the right piece of instance 1."""
    after = labels.copy()
    after[5:15, 30:40] = labels.max() + 1
    return after


def merge_first(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == 2, 1, labels).astype(np.uint16)


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


@pytest.fixture
def session(store: SessionStore, photo: Path) -> Session:
    opened = store.create()
    opened.add("photo.png", masks(), {"photo": photo})
    return opened


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "given.png"
    file.write_bytes(b"not looked into")
    return file


def test_edits_are_there_after_the_program_was_killed(session, tmp_path):
    picture = session.image(0)
    picture.edit(split_first, "Components")
    picture.edit(lambda labels: grow(labels, [2], 3), "Grow")
    picture.describe({2: Instance(category=5, locked=True)}, checked=True)
    again = SessionStore(tmp_path / "sessions").open(session.token).image(0)
    assert (again.labels == picture.labels).all()
    assert again.revision == 2 and again.checked
    assert again.instances == picture.instances
    assert again.instances[2].locked and again.count == 4
    assert (again.start == flatten_masks(masks())[0]).all()


def test_a_list_of_pictures_needs_no_pixels(session):
    picture = session.image(0)
    assert session.summary(0) == Summary(count=3, revision=0, checked=False)
    picture.edit(split_first, "Components")
    picture.describe(checked=True)
    assert session.summary(0) == Summary(count=4, revision=1, checked=True)


def test_an_entry_cut_short_by_a_crash_is_left_out_and_nothing_else(session, tmp_path):
    picture = session.image(0)
    first = picture.edit(lambda labels: grow(labels, [2], 1), "Grow")
    picture.edit(lambda labels: grow(labels, [2], 3), "Grow")
    folder = tmp_path / "sessions" / session.token / "0000"
    journal = folder / "edits.journal"
    journal.write_bytes(journal.read_bytes()[:-7])
    again = EditedImage(folder)
    assert again.revision == 1
    expected = picture.start
    first.patch.put_on(expected)
    assert (again.labels == expected).all()
    again.edit(lambda labels: grow(labels, [3], 1), "Grow")
    assert (EditedImage(folder).labels == again.labels).all()


def test_a_crash_while_the_whole_is_written_again_applies_nothing_twice(
    session, tmp_path, monkeypatch
):
    picture = session.image(0)
    folder = tmp_path / "sessions" / session.token / "0000"
    picture.edit(lambda labels: grow(labels, [2], 1), "Grow")
    monkeypatch.setattr(storage, "LONGEST_JOURNAL", 0)
    picture.replace_all(np.zeros((40, 50), np.uint16), 5, {})
    assert not (folder / "edits.journal").exists()
    (folder / "edits.journal").write_bytes((folder / "edits.previous").read_bytes())
    again = EditedImage(folder)
    assert again.revision == 5 and not again.labels.any() and not again.damage


def test_edits_come_in_order_once_each(session):
    picture = session.image(0)
    patch = Patch(2, 3, np.full((4, 5), 9, np.uint16))
    picture.apply(patch, 1, {9: Instance(category=3)}, "Brush")
    assert picture.instances[9].category == 3
    for revision in (1, 3):
        with pytest.raises(RevisionConflictError):
            picture.apply(patch, revision, {}, "Brush")
    with pytest.raises(InputError, match="damaged"):
        picture.apply(Patch(48, 3, np.zeros((4, 5), np.uint16)), 2, {}, "Brush")
    with pytest.raises(RevisionConflictError):
        picture.edit(merge_first, "Merge", revision=0)


def test_a_class_comes_back_with_its_instance(session):
    picture = session.image(0)
    picture.describe({2: Instance(category=4)})
    before = picture.labels.copy()
    picture.edit(merge_first, "Merge")
    assert 2 not in picture.instances
    picture.apply(difference(picture.labels, before), 2, {}, "Undo")
    assert picture.instances[2].category == 4


def test_parts_inherit_class_and_score(session):
    picture = session.image(0)
    picture.describe({1: Instance(category=4, score=0.5, hidden=True)})
    change = picture.edit(split_first, "Components")
    assert change.instances == {4: Instance(category=4, score=0.5)}


def test_a_number_that_was_in_use_is_not_given_again(session):
    picture = session.image(0)
    picture.describe({9: Instance(category=4)})
    assert picture.highest == 9


def test_a_picture_is_one_object_to_all_who_ask(store, session):
    assert store.open(session.token).image(0) is session.image(0)


def test_sessions_stay_apart_and_tokens_cannot_be_made_up(store, session, photo):
    other = store.create()
    other.add("photo.png", masks(), {"photo": photo})
    other.image(0).edit(merge_first, "Merge")
    assert session.image(0).revision == 0
    for token in ("", "../" + session.token, "a" * 22, session.token[:-1], None, 7):
        with pytest.raises(InputError, match="not here any more"):
            store.open(token)


def test_old_sessions_go(tmp_path, session):
    mark = tmp_path / "sessions" / session.token / "session.json"
    os.utime(mark, (time.time() - 100, time.time() - 100))
    SessionStore(tmp_path / "sessions", lifetime=1000).tidy()
    assert mark.exists()
    SessionStore(tmp_path / "sessions", lifetime=50).tidy()
    assert not mark.parent.exists()


def test_a_session_that_was_deleted_under_a_page_is_named(session, tmp_path):
    shutil.rmtree(tmp_path / "sessions" / session.token)
    with pytest.raises(InputError, match="not here any more"):
        SessionStore(tmp_path / "sessions").open(session.token)


def test_classes_of_two_files_are_matched_by_name(store):
    session = store.create()
    session.add("a.png", masks([1, 1, 2], {1: "cat", 2: "dog"}), {})
    session.add("b.png", masks([1, 2, 3], {1: "dog", 2: "cat", 3: "cow"}), {})
    assert session.classes == {1: "cat", 2: "dog", 3: "cow"}
    assert [i.category for i in session.image(1).instances.values()] == [2, 1, 3]
    exported = to_runs(session.image(1), session.classes)
    assert [exported.names[int(n)] for n in exported.category_ids] == ["dog", "cat", "cow"]


def test_a_name_is_opened_once(session):
    with pytest.raises(InputError, match=r"photo\.png is open already"):
        session.add("photo.png", masks(), {})


def test_the_photo_is_kept_as_it_was(session):
    assert session.file(0, "photo").read_bytes() == b"not looked into"


def test_instances_without_a_class_get_one_when_others_have(session):
    picture = session.image(0)
    assert to_runs(picture, {}).category_ids is None
    picture.describe({2: Instance(category=4)})
    exported = to_runs(picture, {4: "cup"})
    assert exported.category_ids.tolist() == [5, 4, 5]
    assert exported.names == {4: "cup", 5: "unlabelled"}


def test_overlaps_are_told_when_laid_flat(session):
    _, known, losses = flatten_masks(masks())
    assert losses == ["25 pixels belonged to several instances: the smaller one has them."]
    assert sorted(known) == [1, 2, 3]


def test_edges_have_the_photos_size(session):
    picture = session.image(0)
    with pytest.raises(InputError, match="50 x 40"):
        picture.set_edges(np.zeros((50, 40), np.float32), "upload", "file")
    with pytest.raises(InputError, match="Find edges first"):
        picture.preview()
    edge = np.linspace(0, 1, 2000, dtype=np.float32).reshape(40, 50)
    picture.set_edges(edge, "upload", "a_edge.png")
    assert np.abs(picture.edge_map() - edge).max() <= 0.5 / 255 + 1e-6


@settings(deadline=None)
@given(st.data())
def test_the_difference_turns_one_map_into_the_other(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    before = rng.integers(0, 3, shape).astype(np.uint16)
    after = np.where(rng.random(shape) < 0.2, 7, before).astype(np.uint16)
    patch = difference(before, after)
    if patch is None:
        assert (before == after).all()
        return
    height, width = patch.labels.shape
    again = Patch(patch.x, patch.y, unpack_labels(pack(patch.labels), height, width))
    again.put_on(before)
    assert (before == after).all()


def test_packets_that_lie_about_their_size_are_refused():
    bomb = pack(np.zeros((4000, 4000), np.uint16))
    assert len(bomb) < 200_000
    for packet in (bomb, b"", b"nothing", pack(np.zeros((3, 3), np.uint16))[:-4]):
        with pytest.raises(InputError, match="damaged"):
            unpack_labels(packet, 3, 3)


def test_who_opened_a_picture_last_may_edit_it_even_after_a_restart(session, tmp_path):
    first, second = session.image(0).take_lease(), session.image(0).take_lease()
    again = SessionStore(tmp_path / "sessions").open(session.token).image(0)
    again.check_lease(second)
    with pytest.raises(EditLockLostError, match="another tab"):
        again.check_lease(first)


def test_a_map_made_from_an_older_one_replaces_nothing(session):
    picture = session.image(0)
    picture.edit(lambda labels: grow(labels, [2], 1), "Grow")
    with pytest.raises(RevisionConflictError):
        picture.replace_all(np.zeros((40, 50), np.uint16), 1, {}, follows=0)
    assert picture.labels.any()


def test_a_session_nobody_touched_for_its_lifetime_is_not_opened(tmp_path, session):
    mark = tmp_path / "sessions" / session.token / "session.json"
    os.utime(mark, (time.time() - 100, time.time() - 100))
    with pytest.raises(EditLockLostError, match="not here any more"):
        SessionStore(tmp_path / "sessions", lifetime=50).open(session.token)


def test_only_its_owner_can_read_work_and_a_folder_that_exists_keeps_its_mode(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    token = SessionStore(tmp_path / "open").create().token
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "open" / token).stat().st_mode & 0o077 == 0
    SessionStore(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_sessions_last_for_ever_unless_the_operator_says_otherwise(tmp_path, session):
    mark = tmp_path / "sessions" / session.token / "session.json"
    os.utime(mark, (0, 0))
    store = SessionStore(tmp_path / "sessions")
    store.tidy()
    assert store.open(session.token).names == ["photo.png"]


def test_a_deleted_folder_is_made_again(store, tmp_path):
    shutil.rmtree(tmp_path / "sessions")
    assert store.open(store.create().token).names == []


def test_what_a_killed_server_was_writing_is_deleted_at_the_next_start(tmp_path, session):
    folder = tmp_path / "sessions" / session.token / "0000"
    for name, age in ((".0a.part", 9999), (".0b.part", 0)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    SessionStore(tmp_path / "sessions")
    assert [file.name for file in folder.glob(".*.part")] == [".0b.part"]


def test_masks_are_added_to_an_open_image_as_one_edit(session):
    picture = session.image(0)
    before, stack = picture.labels.copy(), np.zeros((2, 40, 50), bool)
    stack[0, 0:10, 0:10] = True  # 25 of its pixels are instance 1's
    stack[1, 38:, 40:] = True
    added = InstanceMasks.unscored(stack, np.array([1, 1]), {1: "cup"})
    losses = session.add_masks(0, added)
    assert losses == ["25 pixels of the added masks belong to instances already."]
    assert (picture.labels[before > 0] == before[before > 0]).all()
    assert (picture.labels[38:, 40:] == 5).all() and picture.count == 5
    assert session.classes == {1: "cup"} and picture.instances[4].category == 1
    (step,) = picture.history().undo
    picture.apply(step.before, 2, {}, "Undo: Add masks")
    assert (picture.labels == before).all()


def test_removed_images_are_gone_and_the_others_keep_their_places(session, tmp_path):
    session.add("b.png", masks(), {})
    session.image(1).edit(merge_first, "Merge")
    session.remove(0)
    for again in (session, SessionStore(tmp_path / "sessions").open(session.token)):
        assert again.indices == [1] and again.image(1).revision == 1
        with pytest.raises(InputError, match="no such image"):
            again.image(0)
    assert not (tmp_path / "sessions" / session.token / "0000").exists()
    session.add("photo.png", masks(), {})
    assert session.names == ["", "b.png", "photo.png"]


def test_sessions_are_named_and_deleted(store, session, tmp_path):
    session.rename("Monday")
    assert SessionStore(tmp_path / "sessions").open(session.token).title == "Monday"
    kept = store.create()
    store.delete(session.token)
    with pytest.raises(EditLockLostError):
        store.open(session.token)
    assert store.open(kept.token) is kept
