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
