"""A real server with a tiny model, and a real Chromium; both once a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

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
    # a camera that shows a test picture, and whose use is allowed without a question
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
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
def server(
    browser: Browser,
    tiny_diffdis_folder: Path,
    tiny_backbone_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The server of all tests; whoever kills it starts it again."""
    server = Server(tiny_diffdis_folder, tiny_backbone_folder, tmp_path_factory.mktemp("server"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def app_url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="session")
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """One visitor's browser: the page's scripts are loaded once, and kept for every test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def open_page(visitor: BrowserContext, app_url: str) -> Page:
    """Open the page in a browser tab of its own."""
    opened = visitor.new_page()
    opened.goto(app_url, wait_until="domcontentloaded")
    opened.get_by_role("button", name="Segment", exact=True).wait_for()
    return opened


@pytest.fixture
def page(visitor: BrowserContext, app_url: str) -> Iterator[Page]:
    """The page as someone sees it who was never here."""
    others = visitor.pages
    opened = open_page(visitor, app_url)
    yield opened
    opened.evaluate("localStorage.clear()")  # a session's memory is the browser tab's own
    for extra in visitor.pages:
        if extra not in others:
            extra.close()


@pytest.fixture(scope="session")
def untouched(visitor: BrowserContext, app_url: str) -> Page:
    """The page for tests that only look at it."""
    return open_page(visitor, app_url)
