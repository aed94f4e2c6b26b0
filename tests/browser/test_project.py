"""The annotator's day: a folder as a project, boxes, live wire, RIP for all, two annotators."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pycocotools.coco import COCO

from segdemo.__main__ import main
from tests.browser.accessibility import assert_accessible
from tests.browser.conftest import PATIENCE
from tests.browser.serving import Server
from tests.browser.test_refine import (
    Board,
    all_saved,
    areas,
    button,
    merged_masks,
    open_tab,
    rows,
    said,
    true_masks,
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


def numbers(result: Path) -> set[int]:
    return set(np.unique(np.asarray(Image.open(result))).tolist())


def row(page: Page, name: str):
    return page.locator("#mask-editor .pictures li", has_text=name)


AROUND = [(200, 54), (226, 80), (200, 106), (174, 80)]  # on the third disc's outline


def box_left_disc(page: Page) -> None:
    """Delete what covers the two discs that touch, and draw a box around the left one."""
    Board(page).click(70, 80)
    page.keyboard.press("Delete")
    page.keyboard.press("i")
    Board(page).drag((37, 47), (98, 113))
    expect(said(page)).to_contain_text("Enter takes it")
    page.keyboard.press("Enter")
    expect(said(page)).to_contain_text("Drag or click for the next one")


def trace_third_disc(page: Page) -> None:
    """Delete the third disc, which lacks a bite, and draw it along its edge with four clicks."""
    Board(page).canvas.press("v")
    Board(page).click(210, 90)
    page.keyboard.press("Delete")
    page.keyboard.press("t")
    for corner in (*AROUND, AROUND[0]):
        Board(page).click(*corner)
    page.keyboard.press("v")


def test_a_project_of_two_annotators_from_folder_to_export(
    browser: Browser, tiny_diffdis_folder: Path, tiny_backbone_folder: Path, tmp_path: Path
):
    folder = tmp_path / "discs"
    folder.mkdir()
    photos = [write_scene(folder, f"photo{number}.png") for number in range(4)]
    for photo in photos[::2]:
        write_coco(photo, merged_masks())
    before = [photo.read_bytes() for photo in photos]
    left, _, third = (int(mask.sum()) for mask in true_masks())
    server = Server(tiny_diffdis_folder, tiny_backbone_folder, tmp_path, folder)
    server.start()
    try:
        ada = enter(browser, server.url, "Ada")
        assert len(areas(ada)) == 2  # the masks found beside the photo
        expect(ada.locator("#mask-editor .place")).to_have_text("0 of 4 done")
        expect(row(ada, "photo0.png")).to_contain_text("2 instances")
        expect(row(ada, "photo1.png").locator("img")).to_be_visible()
        box_left_disc(ada)
        all_saved(ada)
        boxed = areas(ada)
        assert sorted(boxed) == [2, 3] and abs(boxed[3] - left) < 0.5 * left
        result = folder / "annotations" / "photo0.png"
        wait_for(result.exists)
        wait_for(lambda: numbers(result) == {0, 2, 3})
        ada.locator("#mask-editor .source").select_option("gradient")
        button(ada, "Find").click()
        expect(ada.locator("#mask-editor .edges-said")).to_have_text("(gradient)")

        bob = enter(browser, server.url, "Bob")  # never the same image
        expect(bob.locator("#mask-editor .pictures [aria-current]")).to_contain_text("photo1")
        expect(row(bob, "photo0.png")).to_contain_text("open: Ada")
        expect(row(bob, "photo0.png").get_by_role("button")).to_be_disabled()
        bob.locator("#mask-editor .source").select_option("gradient")
        bob.locator("#mask-editor .for-all summary").click()
        bob.locator("#mask-editor .for-all-kind").select_option("rip")
        button(bob, "Start").click()
        expect(bob.locator("#mask-editor .tasks li")).to_contain_text("2 ready for you")
        assert_accessible(bob)

        server.kill()
        trace_third_disc(ada)
        expect(ada.locator("#mask-editor .badge")).to_have_text("Not saved - retrying")
        drawn = areas(ada)
        assert sorted(drawn) == [3, 4] and abs(drawn[4] - third) < 0.06 * third
        server.start()
        all_saved(ada)
        wait_for(lambda: numbers(result) == {0, 3, 4})
        ada.reload(wait_until="domcontentloaded")
        open_tab(ada)
        expect(said(ada)).to_contain_text("Your work is as you left it.")
        assert areas(ada) == drawn
        Board(ada).canvas.press("Control+z")  # what was done without the server is one step
        assert areas(ada) == boxed
        Board(ada).canvas.press("Control+y")
        assert areas(ada) == drawn

        button(ada, "Checked, next").click()  # photo1 is Bob's
        expect(ada.locator("#mask-editor .review")).to_contain_text("split 1 into 2 parts")
        expect(ada.locator("#mask-editor .pictures [aria-current]")).to_contain_text("photo2")
        Board(ada).canvas.press("a")
        expect(rows(ada)).to_have_count(3)
        button(ada, "Checked, next").click()
        expect(said(ada)).to_contain_text("photo3.png")
        expect(ada.locator("#mask-editor .place")).to_have_text("2 of 4 done")
        ada.get_by_label("Which images are listed").select_option("checked")
        expect(ada.locator("#mask-editor .pictures li")).to_have_count(2)

        bob.reload(wait_until="domcontentloaded")
        open_tab(bob)
        expect(said(bob)).to_contain_text("Your work is as you left it.")
        row(bob, "photo0.png").get_by_role("button").click()
        expect(bob.locator("#mask-editor .pictures [aria-current]")).to_contain_text("photo0")
        bob.once("dialog", lambda dialog: dialog.accept("The left disc is two"))
        button(bob, "Send back").click()
        expect(bob.locator("#mask-editor .reviewer-said")).to_contain_text("The left disc is two")
        expect(bob.locator("#mask-editor .place")).to_have_text("1 of 4 done")
        button(bob, "Next to do").click()
        expect(said(bob)).to_contain_text("photo1.png")
    finally:
        server.stop()

    assert main(["project", str(folder), "export", str(tmp_path / "out"), "--all"]) == 0
    coco = COCO(str(tmp_path / "out" / "all.json"))
    masks = {
        entry["file_name"]: [
            coco.annToMask(one).astype(bool) for one in coco.imgToAnns[entry["id"]]
        ]
        for entry in coco.imgs.values()
    }
    assert sorted(mask.sum() for mask in masks["photo0.png"]) == sorted(drawn.values())
    mended = masks["photo2.png"]
    assert len(mended) == 3 and min(map(np.sum, mended)) == merged_masks()[1].sum()
    assert [photo.read_bytes() for photo in photos] == before
