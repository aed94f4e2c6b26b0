"""How the program starts, and how it refuses to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--model", "nonesuch"], "No model 'nonesuch'"),
        (["--device", "abacus"], "Device 'abacus' is not available here"),
        (["--precision", "fp7"], "Precision 'fp7'"),
    ],
)
def test_what_does_not_exist_is_named_in_one_sentence(flags: list[str], sentence: str) -> None:
    ended = subprocess.run(
        [sys.executable, "app.py", *flags], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(sentence)
    assert len(ended.stderr.strip().splitlines()) == 1
