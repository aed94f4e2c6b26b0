"""The annotator's day: a folder of photos as a project, two annotators, a killed server, export."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from segdemo.__main__ import main
from segdemo.annotations import read_masks
from tests.browser.conftest import PATIENCE
from tests.browser.serving import Server
from tests.browser.test_refine import (
    HEIGHT,
    WIDTH,
    Board,
    all_saved,
    areas,
    button,
    merged_masks,
    open_tab,
    said,
    write_coco,
    write_scene,
)

pytestmark = pytest.mark.browser


def enter(browser: Browser, url: str, name: str) -> Page:
    """Open the project's page as somebody who was never here."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(url, wait_until="domcontentloaded")
    open_tab(page)
    expect(page.locator("#mask-editor .project-name")).to_have_text("discs: 4 images")
    page.get_by_label("Your name").fill(name)
    button(page, "Begin").click()
    expect(said(page)).to_contain_text(f"You work as {name}.")
    return page


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a file's state is as wanted."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < PATIENCE / 1000
        time.sleep(0.1)


def row(page: Page, name: str):
    return page.locator("#mask-editor .pictures li", has_text=name)


def draw(page: Page, x: float, y: float) -> None:
    """Paint a new instance."""
    Board(page).canvas.press("n")
    page.keyboard.press("b")
    Board(page).drag((x - 12, y), (x + 12, y))


def test_a_project_of_two_annotators_from_folder_to_export(
    browser: Browser, tiny_diffdis_folder: Path, tiny_backbone_folder: Path, tmp_path: Path
):
    folder = tmp_path / "discs"
    folder.mkdir()
    photos = [write_scene(folder, f"photo{number}.png") for number in range(4)]
    write_coco(photos[0], merged_masks())
    before = [photo.read_bytes() for photo in photos]
    server = Server(tiny_diffdis_folder, tiny_backbone_folder, tmp_path, folder)
    server.start()
    try:
        ada = enter(browser, server.url, "Ada")
        assert len(areas(ada)) == 2  # the masks found beside the photo
        expect(ada.locator("#mask-editor .place")).to_have_text("0 of 4 done")
        expect(row(ada, "photo0.png")).to_contain_text("2 instances")
        expect(row(ada, "photo1.png").locator("img")).to_be_visible()
        draw(ada, 200, 30)
        all_saved(ada)
        result = folder / "annotations" / "photo0.png"
        wait_for(result.exists)
        wait_for(lambda: len(np.unique(np.asarray(Image.open(result)))) == 4)

        bob = enter(browser, server.url, "Bob")  # never the same image
        expect(bob.locator("#mask-editor .pictures [aria-current]")).to_contain_text("photo1")
        expect(row(bob, "photo0.png")).to_contain_text("open: Ada")
        expect(row(bob, "photo0.png").get_by_role("button")).to_be_disabled()

        server.kill()
        draw(ada, 40, 30)
        expect(ada.locator("#mask-editor .badge")).to_have_text("Not saved - retrying")
        server.start()
        all_saved(ada)
        wait_for(lambda: len(np.unique(np.asarray(Image.open(result)))) == 5)
        ada.reload(wait_until="domcontentloaded")
        open_tab(ada)
        expect(said(ada)).to_contain_text("Your work is as you left it.")
        drawn = areas(ada)
        assert len(drawn) == 4
        Board(ada).canvas.press("Control+z")
        assert len(areas(ada)) == 3
        Board(ada).canvas.press("Control+y")
        assert areas(ada) == drawn

        button(ada, "Checked, next").click()
        expect(said(ada)).to_contain_text("photo2.png")  # photo1 is Bob's
        expect(ada.locator("#mask-editor .place")).to_have_text("1 of 4 done")
        ada.get_by_label("Which images are listed").select_option("checked")
        expect(ada.locator("#mask-editor .pictures li")).to_have_count(1)

        bob.reload(wait_until="domcontentloaded")
        open_tab(bob)
        expect(said(bob)).to_contain_text("Your work is as you left it.")
        row(bob, "photo0.png").get_by_role("button").click()
        expect(bob.locator("#mask-editor .pictures [aria-current]")).to_contain_text("photo0")
        bob.once("dialog", lambda dialog: dialog.accept("The left disc is two"))
        button(bob, "Send back").click()
        expect(bob.locator("#mask-editor .reviewer-said")).to_contain_text("The left disc is two")
        bob.locator("#mask-editor .source").select_option("gradient")
        bob.locator("#mask-editor .for-all summary").click()
        button(bob, "Start").click()
        ready = bob.locator("#mask-editor .tasks li")
        expect(ready).to_contain_text("ready for you")
        button(bob, "Next to do").click()
        expect(said(bob)).to_contain_text("photo1.png")
        expect(bob.locator("#mask-editor .edges-said")).to_have_text("(gradient)")
        button(bob, "Checked, next").click()
        expect(bob.locator("#mask-editor .place")).to_have_text("1 of 4 done")
    finally:
        server.stop()

    assert main(["project", str(folder), "export", str(tmp_path / "out"), "--all"]) == 0
    read = read_masks(tmp_path / "out" / "all.json", {"photo0.png": (HEIGHT, WIDTH)})
    assert sorted(read["photo0.png"].areas.tolist()) == sorted(drawn.values())
    assert [photo.read_bytes() for photo in photos] == before
