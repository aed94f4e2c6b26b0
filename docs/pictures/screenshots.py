"""Make the screenshots of the docs: the page with the default model, on a server of its own.

python -m docs.pictures.screenshots [cutout inspect refine]

Needs Chromium (Debian: apt-get install chromium) and what tests/requirements.txt installs.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page, expect, sync_playwright

from segdemo.checkpoints.registry import DEFAULT_BACKBONE, DEFAULT_MODEL
from tests.browser.conftest import CHROMIUM_FLAGS
from tests.browser.serving import Server

DOCS = Path(__file__).parents[1]
PATIENCE = 600_000  # milliseconds: the model may run beside other work
WIDTH = 1280  # pixels of the window
QUALITY = 88  # WebP
EXAMPLE = "dog.jpg"
SETTLE = 1500  # milliseconds until the page's animations have ended


def cut_out(page: Page) -> int:
    """Cut out an example; returns how many pixels of the page's height to show."""
    page.get_by_role("button", name=f"Example photo {EXAMPLE}").first.click()
    expect(page.locator("#run-status")).to_contain_text("px")
    return _bottom(page.get_by_role("button", name="Download mask").bounding_box()) + 80


def inspect(page: Page) -> int:
    """Trace an example and show its last step; returns the height to show."""
    page.get_by_role("tab", name="Inspect").click()
    page.locator("#trace-run").wait_for()
    examples = page.locator("#trace-photo-examples")
    examples.get_by_role("button", name=f"Example photo {EXAMPLE}").click()
    page.locator("#trace-photo img").wait_for()
    page.locator("#trace-run").click()
    expect(page.locator("#trace-status")).to_contain_text("PeakKL chooses")
    page.wait_for_timeout(SETTLE)
    return _bottom(page.locator("#edge-chart").bounding_box()) + 20


def refine(page: Page) -> int:
    """Open the example and preview its proposals; returns the height to show."""
    page.get_by_role("tab", name="Refine").click()
    page.get_by_role("button", name="Open the example").click()
    page.locator("#mask-editor canvas.view").wait_for()
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Accept all").wait_for()
    page.wait_for_timeout(SETTLE)
    return _bottom(page.locator("#mask-editor").bounding_box()) + 20


SHOTS: dict[str, Callable[[Page], int]] = {"cutout": cut_out, "inspect": inspect, "refine": refine}


def main() -> int:
    """Make the screenshots named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("shots", nargs="*", metavar="SHOT", help=f"of {', '.join(SHOTS)}")
    shots = parser.parse_args().shots or list(SHOTS)
    if unknown := set(shots) - set(SHOTS):
        parser.error(f"no screenshot named {', '.join(sorted(unknown))}: {', '.join(SHOTS)}")
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("no Chromium on the PATH (Debian: apt-get install chromium)")
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(DEFAULT_MODEL), Path(DEFAULT_BACKBONE), Path(folder))
        server.start(PATIENCE / 1000)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
            for shot in shots:
                context = browser.new_context(viewport={"width": WIDTH, "height": 1000})
                context.set_default_timeout(PATIENCE)
                page = context.new_page()
                page.goto(server.url, wait_until="domcontentloaded")
                page.get_by_role("button", name="Segment", exact=True).wait_for()
                page.wait_for_timeout(SETTLE)
                save(page, SHOTS[shot](page), DOCS / f"{shot}.webp")
                context.close()
            browser.close()
        finally:
            server.stop()
    return 0


def save(page: Page, height: int, file: Path) -> None:
    """Save the top of the page, `height` pixels of it, as WebP."""
    page.mouse.move(0, 0)  # nothing is hovered over
    page.wait_for_timeout(SETTLE)
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    whole.crop((0, 0, whole.width, min(height, whole.height))).save(file, quality=QUALITY, method=6)


def _bottom(box: FloatRect | None) -> int:
    assert box is not None
    return round(box["y"] + box["height"])


if __name__ == "__main__":
    sys.exit(main())
