"""The page, served by a process of its own that a test can stop and start again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 240  # machines may train beside the tests


class Server:
    """`app.py` on a free port, with tiny models.

    folder: for its temporary files and sessions. project: a folder to open, or None. flags: more of
    `app.py`'s.
    """

    def __init__(
        self,
        diffdis: Path,
        backbone: Path,
        folder: Path,
        project: Path | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._arguments = ["--model", str(diffdis), "--backbone", str(backbone)]
        self._arguments += [] if project is None else [str(project)]
        self._arguments += flags
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self._folder / "server.log").read_text()

    def start(self, patience: float = START_SECONDS) -> None:
        """Start, and wait for the page; fails if it does not answer within `patience` seconds."""
        with (self._folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "app.py", *self._arguments, "--port", str(self.port)],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TMPDIR": str(self._folder),
                    "HF_HUB_OFFLINE": "1",
                    "SEGDEMO_SESSIONS": str(self._folder / "sessions"),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started = time.monotonic()
        while time.monotonic() - started < patience:
            if self._process.poll() is not None:
                raise AssertionError(f"app.py ended with {self._process.returncode}:\n{self.log}")
            try:
                with urllib.request.urlopen(self.url, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise AssertionError(f"no page within {patience:.0f} s:\n{self.log}")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> None:
        """End it in good order, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
