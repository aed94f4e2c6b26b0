"""The editor's tools for speed, walked in a real browser: several in one page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import assert_accessible
from tests.browser.test_refine import (
    Board,
    all_saved,
    areas,
    button,
    merged_masks,
    open_files,
    open_scene,
    open_tab,
    rows,
    said,
    true_masks,
    write_coco,
    write_edges,
    write_scene,
)

pytestmark = pytest.mark.browser


def test_focus_mode_and_deciding_by_keys(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    board, review = Board(page), page.locator("#mask-editor .review")
    window = page.viewport_size
    assert window is not None
    shown = board.canvas.bounding_box()
    assert shown is not None
    assert shown["y"] >= 0
    assert shown["y"] + shown["height"] < window["height"]  # all of it, without scrolling

    page.locator(".skip-to-photo").focus()
    page.keyboard.press("Enter")
    expect(board.canvas).to_be_focused()
    button(page, "Select").focus()
    page.keyboard.press("ArrowRight")
    expect(button(page, "Box/Click")).to_be_focused()
    expect(page.locator("#mask-editor .tools button[tabindex='0']")).to_have_count(1)

    button(page, "Preview").click()
    expect(review).to_contain_text("1 of 1: split 1 into 2 parts")
    assert_accessible(page)
    parts = board.colour(80, 80), board.colour(120, 80)
    assert sum(abs(one - other) for one, other in zip(*parts, strict=True)) > 60
    expect(board.canvas).to_be_focused()
    page.keyboard.press("r")
    expect(page.locator("#mask-editor .outcome")).to_have_text("rejected")
    expect(review).to_be_hidden()

    page.keyboard.press("w")
    expect(page.locator("#mask-editor .side")).to_be_hidden()
    wide = board.canvas.bounding_box()
    assert wide is not None
    assert wide["width"] > window["width"] - 20
    assert wide["height"] > window["height"] - 150
    assert page.locator("[role=tab]").first.evaluate("one => Boolean(one.closest('[inert]'))")
    page.keyboard.press("y")
    expect(page.locator("#mask-editor .side")).to_be_visible()
    button(page, "Preview").click()
    expect(review).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")
    expect(rows(page)).to_have_count(3)
    expect(said(page)).to_have_text("All proposals are decided.")

    page.reload(wait_until="domcontentloaded")
    open_tab(page)
    expect(said(page)).to_contain_text("as you left it")
    expect(page.locator("#mask-editor .focus-mode")).to_be_visible()
    board.canvas.press("w")
    expect(page.locator("#mask-editor .focus-mode")).to_have_count(0)
    page.get_by_role("tab", name="Help").click()


def test_the_lasso_snaps_closes_and_moves(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    board, draft = Board(page), page.locator("#mask-editor .draft")
    board.click(210, 90)
    page.keyboard.press("Delete")
    page.keyboard.press("t")
    around = [(200, 54), (226, 80), (200, 106), (174, 80)]  # on the third disc's outline
    for corner in around:
        board.click(*corner)
    expect(draft).to_contain_text("4 corners")
    page.keyboard.press("Backspace")
    expect(draft).to_contain_text("3 corners")
    board.click(150, 40)  # beside the disc, and then moved onto it
    board.drag((150, 40), around[3])
    board.click(*around[0])  # the first one closes
    expect(said(page)).to_contain_text("Draw the next one")
    made = areas(page)
    (number,) = made.keys() - {1}
    truth = int(true_masks()[2].sum())
    assert abs(made[number] - truth) < 0.06 * truth  # four clicks: straight lines give 64 %
    page.keyboard.press("Control+z")
    expect(rows(page)).to_have_count(1)

    page.keyboard.down("Alt")
    for corner in around:
        board.click(*corner)
    page.keyboard.up("Alt")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    (number,) = areas(page).keys() - {1}
    assert areas(page)[number] < 0.75 * truth
    page.keyboard.press("Control+z")

    board.drag((180, 60), (220, 60), (220, 100), (180, 100), (180, 62))
    expect(rows(page)).to_have_count(2)
    (number,) = areas(page).keys() - {1}
    assert abs(areas(page)[number] - 1600) < 200

    page.keyboard.press("Control+z")
    page.keyboard.press("g")
    board.drag((190, 80), (210, 80))
    page.keyboard.down("Shift")
    board.drag((160, 20), (235, 20), (235, 140))
    page.keyboard.up("Shift")
    expect(draft).to_contain_text("2 seeds")
    page.keyboard.press("Enter")
    expect(said(page)).to_contain_text("Scribbles: 1 instance")
    (number,) = areas(page).keys() - {1}
    assert abs(areas(page)[number] - truth) < 0.15 * truth
    page.keyboard.press("Control+z")
    expect(rows(page)).to_have_count(1)


def class_names(page: Page) -> list[str]:
    names: list[str] = page.locator("#mask-editor .classes input[type=text]").evaluate_all(
        "all => all.map(one => one.value)"
    )
    return names


def test_cells_copies_classes_and_the_look(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    photos = [write_scene(tmp_path, f"{name}.png") for name in "ab"]
    edges = [write_edges(photo) for photo in photos]
    open_files(page, photos, [write_coco(photos[0], merged_masks())], edges)
    expect(said(page)).to_contain_text("a.png: 240 x 160, 2 instances.")
    board, truth = Board(page), int(true_masks()[2].sum())

    plain = board.colour(60, 20)
    page.locator("#mask-editor summary", has_text="View").click()
    page.locator("#mask-editor .brightness").fill("0.5")
    assert board.colour(60, 20)[0] < 0.6 * plain[0]
    button(page, "Reset").click()
    assert board.colour(60, 20) == plain
    board.click(210, 90)
    mixed = board.colour(215, 90)
    page.locator("#mask-editor .one-opacity").fill("0")
    assert board.colour(215, 90) != mixed

    page.locator("#mask-editor summary", has_text="Classes").click()
    page.locator("#mask-editor .labels-file").set_input_files(
        {"name": "labels.txt", "mimeType": "text/plain", "buffer": b"ball\n7: square\ndisc\n"}
    )
    expect(said(page)).to_have_text("2 classes added from labels.txt.")
    assert class_names(page) == ["disc", "ball", "square"]
    page.get_by_label("Name of class 3").fill("ring")
    page.get_by_label("Name of class 3").press("Enter")
    expect(page.locator("#mask-editor .instances")).to_contain_text("ring")
    button(page, "Delete the class ring").click()
    expect(page.locator("#mask-editor .instances")).not_to_contain_text("ring")
    board.canvas.press("Control+z")
    expect(page.locator("#mask-editor .instances")).to_contain_text("ring")
    assert class_names(page) == ["ring", "ball", "square"]
    page.get_by_label("Key of square").select_option("1")
    expect(page.get_by_label("Key of ring")).to_have_value("3")
    board.canvas.press("1")
    expect(page.locator("#mask-editor .instances")).to_contain_text("square")
    board.canvas.press("3")
    with page.expect_download() as saved:
        button(page, "Save labels file").click()
    kept = saved.value.path().read_text()
    assert kept == "3: ring\tkey 3\n4: ball\tkey 2\n7: square\tkey 1\n"
    page.locator("#mask-editor .labels-file").set_input_files(
        {"name": "keys.txt", "mimeType": "text/plain", "buffer": kept.replace("2", "8").encode()}
    )
    expect(said(page)).to_have_text("0 classes added from keys.txt. 1 key set.")
    expect(page.get_by_label("Key of ball")).to_have_value("8")
    assert_accessible(page)
    all_saved(page)

    page.get_by_label("Order of the instances").select_option("small")
    assert list(areas(page)) == [2, 1]
    button(page, "Colour by class").click()
    dots = page.locator("#mask-editor .instances .dot")
    both: list[str] = dots.evaluate_all("all => all.map(one => one.style.background)")
    assert len(both) == 2 and len(set(both)) == 1
    button(page, "Next photo").click()
    expect(said(page)).to_contain_text("b.png: 240 x 160, 0 instances.")
    assert class_names(page) == ["ring", "ball", "square"]
    board.canvas.press("Control+v")  # the selected mask of the photo shown before
    expect(said(page)).to_contain_text("1 mask copied from a.png")
    expect(page.locator("#mask-editor .instances")).to_contain_text("ring")
    page.keyboard.press("Delete")
    expect(rows(page)).to_have_count(0)

    page.keyboard.press("u")
    board.click(190, 80)
    expect(said(page)).to_contain_text("is new")
    (made,) = areas(page).values()
    assert abs(made - truth) < 0.06 * truth
    board.click(20, 20)  # the ground around the discs is too large for a cell
    expect(said(page)).to_contain_text("not closed")
    page.keyboard.press("Control+z")
    expect(rows(page)).to_have_count(0)
    all_saved(page)
