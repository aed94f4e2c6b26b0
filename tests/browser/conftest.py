"""A real server with a tiny model, and a real Chromium; both once a session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 120
PATIENCE = 60_000  # milliseconds; generous, for machines that train beside the tests
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "no Chromium on the PATH (Debian: apt-get install chromium)"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def app_url(
    browser: Browser,
    tiny_diffdis_folder: Path,
    tiny_backbone_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    temporary = tmp_path_factory.mktemp("server")
    log = temporary / "server.log"
    models = ["--model", str(tiny_diffdis_folder), "--backbone", str(tiny_backbone_folder)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "app.py", *models, "--port", str(port)],
            cwd=ROOT,
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "HF_HUB_OFFLINE": "1",
                "SEGDEMO_SESSIONS": str(temporary / "sessions"),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def page(browser: Browser, app_url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.goto(app_url, wait_until="domcontentloaded")
    opened.get_by_role("button", name="Segment", exact=True).wait_for()
    yield opened
    context.close()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    started = time.monotonic()
    while time.monotonic() - started < START_SECONDS:
        if server.poll() is not None:
            pytest.fail(f"app.py ended with {server.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"no page within {START_SECONDS} s:\n{log.read_text()}")
