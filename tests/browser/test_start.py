"""How the program starts, and how it refuses to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segdemo.ui.passwords import Accounts

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--model", "nonesuch"], "No model 'nonesuch'"),
        (["--device", "abacus"], "Device 'abacus' is not available here"),
        (["--precision", "fp7"], "Precision 'fp7'"),
        (["--auth", "nonesuch"], "nonesuch cannot be read (No such file or directory)"),
    ],
)
def test_what_does_not_exist_is_named_in_one_sentence(flags: list[str], sentence: str) -> None:
    ended = subprocess.run(
        [sys.executable, "app.py", *flags], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(sentence)
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_password_comes_by_a_pipe_and_leaves_as_a_line(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "app.py", "--make-password", "ada"],
        input="secret\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    (tmp_path / "accounts").write_text(made.stdout)
    assert Accounts.read(tmp_path / "accounts").knows("ada", "secret")
