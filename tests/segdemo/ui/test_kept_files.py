"""Temporary folders of the page, also of servers that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from segdemo.ui.kept_files import process_folder

LEAVE_ONE = """
import os
from segdemo.ui.kept_files import process_folder
folder = process_folder()
print(folder.name, flush=True)
os._exit(9)  # as a kill does: nothing is cleaned up
"""


def test_a_killed_servers_folder_is_deleted_at_the_next_start_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = process_folder()
    killed = subprocess.run(
        [sys.executable, "-c", LEAVE_ONE],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    left = Path(killed.stdout.strip())
    assert left.parent == tmp_path and left.is_dir()
    with process_folder() as new:
        assert not left.exists() and Path(living.name).is_dir() and Path(new).is_dir()
    living.cleanup()


def test_threads_that_ask_first_at_once_share_one_folder(tmp_path: Path):
    script = (
        "import threading\n"
        "from segdemo.ui.kept_files import new_folder\n"
        "start, made = threading.Barrier(8), []\n"
        "def ask():\n"
        "    start.wait()\n"
        "    made.append(new_folder())\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "assert all(folder.is_dir() for folder in made)\n"
        "assert len({folder.parent for folder in made}) == 1\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
