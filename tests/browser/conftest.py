"""A real server with a tiny model, and a real Chromium; both once a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.serving import Server

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
    server = Server(tiny_diffdis_folder, tiny_backbone_folder, tmp_path_factory.mktemp("server"))
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def page(browser: Browser, app_url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.goto(app_url, wait_until="domcontentloaded")
    opened.get_by_role("button", name="Segment", exact=True).wait_for()
    yield opened
    context.close()
