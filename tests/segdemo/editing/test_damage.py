"""Damaged files and full disks: what can be saved is, and nothing unsaved is said to be saved."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segdemo.datatypes import InputError, InstanceMasks
from segdemo.editing import storage
from segdemo.editing.image import EditedImage
from segdemo.editing.patches import Patch
from segdemo.editing.sessions import Session, SessionStore

ROOT = Path(__file__).parents[3]


def brush(picture: EditedImage, number: int) -> None:
    """Paint an edit that no other one covers."""
    patch = Patch(number, 0, np.full((8, 1), number + 10, np.uint16))
    picture.apply(patch, picture.revision + 1, {}, "Brush")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    opened = SessionStore(tmp_path / "sessions").create()
    stack = np.zeros((2, 30, 40), bool)
    stack[0, 10:20, 5:15] = stack[1, 10:20, 25:35] = True
    for name in ("a.png", "b.png"):
        opened.add(name, InstanceMasks.unscored(stack), {})
    for number in range(6):
        brush(opened.image(0), number)
    return opened


@pytest.fixture
def folder(session: Session, tmp_path: Path) -> Path:
    return tmp_path / "sessions" / session.token / "0000"


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(bytes(content))


def test_a_flipped_bit_anywhere_in_a_journal_leaves_the_edits_before_it(
    folder: Path, tmp_path: Path
) -> None:
    length = (folder / "edits.journal").stat().st_size
    whole = EditedImage(folder).labels
    for number, place in enumerate(range(0, length, 97)):
        copy = Path(shutil.copytree(folder, tmp_path / f"copy{number}"))
        flip(copy / "edits.journal", place)
        saved = EditedImage(copy)
        assert saved.revision == place * 6 // length or saved.revision + 1 == place * 6 // length
        kept = slice(0, saved.revision)
        assert (saved.labels[:8, kept] == whole[:8, kept]).all()
        assert not saved.labels[:8, saved.revision : 6].any()
        assert f"Recovered: the masks after {saved.revision} edit" in saved.damage
        brush(saved, 30)
        assert EditedImage(copy).revision == saved.revision


def test_a_damaged_whole_is_put_together_from_the_one_before(folder: Path) -> None:
    whole = EditedImage(folder).labels
    flip(folder / "picture.bin", -9)
    saved = EditedImage(folder)
    assert (saved.labels == whole).all() and "Recovered" in saved.damage
    assert list(folder.glob("damaged-*-picture.bin"))
    saved.describe(checked=True)
    assert not EditedImage(folder).damage


def test_a_damaged_image_leaves_the_others_and_is_marked(
    session: Session, folder: Path, tmp_path: Path
) -> None:
    for file in ("picture.bin", "picture.previous"):
        (folder / file).write_bytes(b"nothing")
    again = SessionStore(tmp_path / "sessions").open(session.token)
    assert "a.png: its file on the server is damaged" in again.summary(0).damage
    with pytest.raises(InputError, match="gone"):
        again.image(0)
    assert again.image(1).count == 2 and not again.summary(1).damage


def test_a_damaged_list_of_images_is_rebuilt(session: Session, tmp_path: Path) -> None:
    (tmp_path / "sessions" / session.token / "session.json").write_text('{"names": ["a')
    again = SessionStore(tmp_path / "sessions").open(session.token)
    assert again.names == ["a.png", "b.png"] and again.image(0).revision == 6


def test_journals_without_checksums_are_read(folder: Path, tmp_path: Path) -> None:
    """An older version wrote no checksums, and only what an edit made of the pixels."""
    records = b""
    for entry in storage.journal.read(folder / "edits.journal").entries:
        payload = entry.payload[: entry.header.pop("after")]
        header = json.dumps(entry.header).encode()
        records += struct.pack("<II", len(header), len(payload)) + header + payload
    whole = EditedImage(folder).labels
    (folder / "edits.journal").write_bytes(records + b"\x10\0\0")
    older = EditedImage(folder)
    assert (older.labels == whole).all() and older.revision == 6
    brush(older, 20)
    assert EditedImage(folder).revision == 7


FULL_DISK = """
import resource, sys
from pathlib import Path
from segdemo.editing.image import EditedImage
from segdemo.editing.storage import Instance
from tests.segdemo.editing.test_damage import brush
picture = EditedImage(Path(sys.argv[1]))
size = (Path(sys.argv[1]) / "edits.journal").stat().st_size
before = picture.labels.copy()
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, resource.RLIM_INFINITY))
for work in (
    lambda: brush(picture, 20),
    lambda: picture.replace_all(before * 0, 9, {}),
    lambda: picture.describe({1: Instance(category=3)}, checked=True),
    lambda: picture.edit(lambda labels: labels + 1, "Edit"),
):
    try:
        work()
    except OSError:
        assert (picture.labels == before).all() and picture.revision == 6
        assert not picture.checked and picture.instances[1].category is None
    else:
        raise SystemExit("written on a full disk")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
brush(picture, 20)
"""


def test_a_full_disk_changes_nothing_and_editing_goes_on_after_it(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout
    again = EditedImage(folder)
    assert again.revision == 7 and (again.labels[:8, 20] == 30).all() and not again.damage


def test_undo_and_redo_are_known_after_a_restart(folder: Path, tmp_path: Path) -> None:
    picture = EditedImage(folder)
    top = picture.history().undo[-1]
    picture.apply(top.before, 7, {}, "Undo: Brush")
    kept = EditedImage(folder).history()
    assert [step.after.x for step in kept.undo] == [0, 1, 2, 3, 4]
    assert [step.after.x for step in kept.redo] == [5]
    picture.apply(top.after, 8, {}, "Redo: Brush")
    kept = EditedImage(folder).history()
    assert len(kept.undo) == 6 and not kept.redo
    labels = picture.labels.copy()
    for step in reversed(kept.undo):
        step.before.put_on(labels)
    assert (labels == picture.start).all()
