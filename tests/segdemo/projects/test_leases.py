"""Two annotators never have the same image, also where two processes serve one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segdemo.datatypes import InputError
from segdemo.projects.leases import SECONDS, Leases, LeaseTakenError
from segdemo.projects.project import Project
from tests.segdemo.projects.scenes import photos

TAKE_ALL = """
import sys
from pathlib import Path
from segdemo.projects.project import Project
project = Project(Path(sys.argv[1]))
who = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
name, taken = "", []
while True:
    image = project.leases.take_next(who, project.annotators.enter(who), name)
    if image is None or image in taken:
        break
    taken.append(image)
    name = project.board.get(image).name
    project.image(image).edit(lambda before: before + 1, "Fill")
print(*taken, flush=True)
sys.stdin.readline()
project.close()
"""


@pytest.fixture
def project(tmp_path: Path):
    opened = Project(photos(tmp_path))
    yield opened
    opened.close()


def test_processes_that_serve_one_folder_share_the_images_out(tmp_path: Path):
    photos(tmp_path, 30)
    Project(tmp_path).close()
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_ALL, str(tmp_path), who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("ada", "bob")
    ]
    for server in servers:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
    for server in servers:  # now both take what they can, side by side
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
    taken = [set(map(int, server.stdout.readline().split())) for server in servers]  # type: ignore[union-attr]
    for server in servers:
        server.communicate("\n", timeout=60)
        assert server.returncode == 0
    assert not taken[0] & taken[1]
    assert taken[0] | taken[1] == set(range(1, 31))
    project = Project(tmp_path)
    assert project.board.counts()["in work"] == 30
    assert len(list((tmp_path / "annotations").glob("*.png"))) == 30
    project.close()


def test_an_image_is_one_annotators_until_the_lease_ends(project: Project):
    now = [1000.0]
    leases = Leases(project.database, lambda: now[0])
    leases.take(1, "ada", "tab")
    with pytest.raises(LeaseTakenError, match="ada has this image open"):
        leases.take(1, "bob", "other")
    assert leases.take_next("bob", "other") == 2
    now[0] += SECONDS / 2
    leases.keep(1, "ada", "tab")
    now[0] += SECONDS * 0.75
    with pytest.raises(LeaseTakenError):
        leases.take(1, "bob", "other")
    now[0] += SECONDS
    leases.take(1, "bob", "other")
    with pytest.raises(LeaseTakenError, match="bob has this image open"):
        leases.keep(1, "ada", "tab")


def test_a_lease_that_ended_is_kept_again_where_nobody_took_the_image(project: Project):
    now = [1000.0]
    leases = Leases(project.database, lambda: now[0])
    leases.take(1, "ada", "tab")
    now[0] += 10 * SECONDS
    leases.keep(1, "ada", "tab")
    assert leases.holder(1) is not None


def test_another_tab_of_the_same_annotator_takes_the_image_over(project: Project):
    leases = project.leases
    leases.take(1, "ada", "tab")
    leases.take(1, "ada", "other tab")
    with pytest.raises(LeaseTakenError, match="in another tab"):
        leases.keep(1, "ada", "tab")


def test_the_next_image_is_the_next_that_needs_work(project: Project):
    project.board.set(2, state="checked")
    project.board.set(4, state="rejected")
    leases = project.leases
    assert leases.take_next("ada", "tab", "p0.png") == 3
    leases.release("tab")
    assert leases.take_next("ada", "tab", "p2.png") == 4
    assert leases.take_next("ada", "tab", "p3.png") == 1  # from the first again
    for image in (1, 3, 4):
        project.board.set(image, state="checked")
    assert leases.take_next("ada", "tab", "p3.png") is None


def test_a_reviewer_sends_back_what_nobody_edits(project: Project):
    picture = project.image(1)
    picture.describe(checked=True)
    project.leases.take(1, "ada", "tab")
    with pytest.raises(InputError, match="ada has this image open"):
        project.set_state(1, "rejected", "eve", "the left paw")
    project.leases.release("tab")
    project.set_state(1, "rejected", "eve", "the left paw")
    record = project.board.get(1)
    assert (record.state, record.note) == ("rejected", "the left paw")
    assert project.leases.take_next("ada", "tab") == 1
    assert "rejected: the left paw" in [row["what"] for row in project.board.events(1)]


def test_a_name_is_needed_and_a_token_proves_it(project: Project):
    token = project.annotators.enter(" Ada  Lovelace ")
    assert project.annotators.name(token) == "Ada Lovelace"
    assert project.annotators.name("nobody's") is None
    with pytest.raises(InputError, match="your name"):
        project.annotators.enter("  ")
