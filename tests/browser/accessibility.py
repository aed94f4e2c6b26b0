"""axe-core on a page as it is now: what some people could not read, reach or hear."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RUN = """() => axe.run(document, { resultTypes: ["violations"] })
  .then(({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 120)}`)))"""


def assert_accessible(page: Page) -> None:
    """Expect that axe finds nothing in what the page shows."""
    if not AXE.is_file():
        reason = "no axe-core: run `npm ci`"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(RUN)
    assert found == []
