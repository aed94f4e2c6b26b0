"""How the program starts, and how it refuses to."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

import app
from segdemo.ui.passwords import Accounts

ROOT = Path(__file__).parent.parent.parent


def test_the_program_ends_with_one_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "app.py", "--model", "nonesuch"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("No model 'nonesuch'")
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--device", "abacus"], "Device 'abacus' is not available here"),
        (["--precision", "fp7"], "Precision 'fp7'"),
        (["--auth", "nonesuch"], "nonesuch cannot be read (No such file or directory)"),
    ],
)
def test_what_does_not_exist_is_named_in_one_sentence(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert len(error.strip().splitlines()) == 1


def test_a_password_comes_by_a_pipe_and_leaves_as_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
    assert app.main(["--make-password", "ada"]) == 0
    (tmp_path / "accounts").write_text(capsys.readouterr().out)
    assert Accounts.read(tmp_path / "accounts").knows("ada", "secret")
