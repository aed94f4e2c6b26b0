"""The tab "Refine" beside other visitors, with hostile names, without a mouse, on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.browser.conftest import PATIENCE
from tests.browser.test_refine import (
    Board,
    all_saved,
    areas,
    button,
    export,
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

MARKUP, TEMPLATE = "<img src=x onerror=window.hit=1>", "${window.hit=1}"
MOST_TABS = 80


def test_two_annotators_do_not_see_each_other(
    page: Page, browser: Browser, app_url: str, tmp_path: Path
) -> None:
    other = browser.new_context()
    other.set_default_timeout(PATIENCE)
    stranger = other.new_page()
    stranger.goto(app_url, wait_until="domcontentloaded")
    # the server lost the work of this tab: its answer must not close what is opened meanwhile
    lost = "A" * 22
    stranger.evaluate(f"sessionStorage.setItem('segdemo-refine', '{lost}')")
    stranger.reload(wait_until="domcontentloaded")
    photo = write_scene(tmp_path)
    for one, masks in ((page, merged_masks()), (stranger, true_masks())):
        open_tab(one)
        open_files(one, [photo], [write_coco(photo, masks)], [])
        expect(rows(one)).to_have_count(len(masks))
    Board(page).click(70, 80)
    page.keyboard.press("Delete")
    Board(stranger).click(200, 80)
    stranger.keyboard.press("Delete")
    mine, theirs = areas(page), areas(stranger)
    assert (sorted(mine), sorted(theirs)) == ([2], [1, 2])
    for one, kept in ((page, mine), (stranger, theirs)):
        all_saved(one)
        one.reload(wait_until="domcontentloaded")
        open_tab(one)
        expect(said(one)).to_contain_text("as you left it")
        assert areas(one) == kept
    other.close()


def test_a_late_greeting_does_not_close_what_was_opened_since(page: Page, tmp_path: Path) -> None:
    held: list[Route] = []
    join = re.compile(r"/queue/join")

    def hold_greetings(route: Route, request: Request) -> None:
        if '"greeting"' in (request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route(join, hold_greetings)
    first, second = (write_scene(tmp_path, name) for name in ("first.png", "second.png"))
    open_tab(page)
    open_files(page, [first], [], [])
    expect(said(page)).to_contain_text("first.png: 240 x 160")
    assert not held  # there was nothing to greet with
    page.reload(wait_until="domcontentloaded")
    with page.expect_request(
        lambda r: bool(join.search(r.url)) and '"greeting"' in (r.post_data or "")
    ):
        open_tab(page)
    page.get_by_role("button", name="Open photos and masks").wait_for()
    open_files(page, [second], [write_coco(second, merged_masks())], [])
    expect(said(page)).to_contain_text("second.png: 240 x 160, 2 instances.")
    (greeting,) = held
    with page.expect_request(
        lambda r: (
            bool(join.search(r.url))
            and '"event_data":{"token"' in (r.post_data or "")
            and '"greeting"' not in (r.post_data or "")
        )
    ):
        greeting.continue_()
    expect(page.get_by_label("Photo", exact=True)).to_have_value("1")
    expect(said(page)).to_contain_text("second.png: 240 x 160, 2 instances.")
    name, _ = export(page, "This photo", "COCO JSON (RLE, exact)")
    assert name == "second_coco.json"


def test_names_are_shown_as_they_are_and_never_run(page: Page, tmp_path: Path) -> None:
    photos = [write_scene(tmp_path, f"{name}.png") for name in (MARKUP, TEMPLATE)]
    masks = [write_coco(photo, merged_masks(), photo.stem) for photo in photos]
    open_tab(page)
    open_files(page, photos, masks, [write_edges(photo) for photo in photos])
    expect(said(page)).to_contain_text(f"{MARKUP}.png: 240 x 160")
    names = page.locator("#mask-editor .pictures .name")
    expect(names).to_have_text([f"{MARKUP}.png", f"{TEMPLATE}.png"])
    expect(rows(page).first).to_contain_text(f"1 {MARKUP}")
    expect(page.locator("#mask-editor .edges-said")).to_have_text(f"({MARKUP}_edge.png)")
    Board(page).click(70, 80)
    expect(said(page)).to_contain_text(f"Selected: 1 {MARKUP}")
    page.mouse.move(*Board(page).place(75, 85))
    expect(page.locator("#mask-editor .tip")).to_contain_text(MARKUP)

    button(page, "Next photo").click()
    expect(said(page)).to_contain_text(f"{TEMPLATE}.png: 240 x 160")
    expect(rows(page).first).to_contain_text(f"1 {TEMPLATE}")
    Board(page).click(70, 80)
    page.keyboard.press("r")
    label = f"{TEMPLATE}{MARKUP}"
    page.locator("#mask-editor .class-choice").select_option("new")
    page.get_by_label("Name of the new class").fill(label)
    page.keyboard.press("Enter")
    expect(rows(page).first).to_contain_text(f"1 {label}")
    all_saved(page)
    _, content = export(page, "This photo", "COCO JSON (RLE, exact)")
    assert label in [entry["name"] for entry in json.loads(content)["categories"]]
    expect(page.locator("#export-report")).to_contain_text("is ready")
    assert page.evaluate("window.hit") is None


def tab_until(page: Page, reached: Callable[[], bool]) -> None:
    """Press Tab until what has the focus is what is looked for."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if reached():
            return
    pytest.fail(f"not reached by {MOST_TABS} presses of Tab")


def focused(page: Page, selector: str) -> Callable[[], bool]:
    return lambda: bool(page.evaluate("(s) => document.activeElement.matches(s)", selector))


def test_the_keyboard_is_enough(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    before = areas(page)
    tab_until(page, focused(page, "#mask-editor canvas.view"))
    press = page.keyboard.press
    press("v")
    press("Enter")  # the cursor appears in the middle, on the discs that touch
    press("Enter")
    expect(said(page)).to_contain_text("Selected: 1 disc")
    press("x")
    press("Enter")
    expect(rows(page)).to_have_count(3)
    press("m")
    assert areas(page) == before
    press("Control+z")
    expect(rows(page)).to_have_count(3)
    split = areas(page)

    press("b")
    for _ in range(8):
        press("Shift+ArrowUp")
    press("ArrowLeft")  # moves the picture, and the cursor with it
    press("Enter")
    assert areas(page)[1] > split[1]
    press("Control+z")
    assert areas(page) == split
    press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()

    reached = "document.activeElement.textContent.trim().startsWith('Export')"
    tab_until(page, lambda: bool(page.evaluate(reached)))
    press("Enter")
    page.locator("#take-masks").wait_for()
    tab_until(page, focused(page, "#take-masks, #take-masks *"))
    with page.expect_download() as started:
        press("Enter")
    content = json.loads(Path(started.value.path()).read_text())
    assert len(content["annotations"]) == 3


def test_the_whole_way_fits_a_phone(browser: Browser, app_url: str, tmp_path: Path) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True
    )
    context.set_default_timeout(PATIENCE)
    phone = context.new_page()
    phone.goto(app_url, wait_until="domcontentloaded")
    open_tab(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    open_scene(phone, tmp_path)
    button(phone, "Preview").tap()
    button(phone, "Accept: split 1 into 2 parts").tap()
    expect(rows(phone)).to_have_count(3)
    board, split = Board(phone), areas(phone)
    phone.touchscreen.tap(*board.place(210, 90))
    expect(said(phone)).to_contain_text("Selected: 2 disc")
    button(phone, "Brush").tap()
    phone.touchscreen.tap(*board.place(225, 110))
    assert areas(phone)[2] > split[2]
    button(phone, "Undo").tap()
    assert areas(phone) == split
    button(phone, "Polygon").tap()
    for corner in ((20, 10), (60, 10), (40, 30)):
        phone.touchscreen.tap(*board.place(*corner))
    expect(button(phone, "Take away")).to_be_visible()
    poor = phone.evaluate(
        """[...document.querySelectorAll("#mask-editor button")]
           .filter(b => b.offsetParent)
           .filter(b => b.getBoundingClientRect().height < 32 || b.scrollWidth > b.clientWidth)
           .map(b => b.outerHTML.slice(0, 80))"""
    )
    assert poor == []
    button(phone, "Add").tap()
    assert areas(phone)[2] > split[2]
    name, _ = export(phone, "This photo", "COCO JSON (RLE, exact)")
    assert name == "discs_coco.json"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_fingers_draw_zoom_and_move_on_a_tablet(
    browser: Browser, app_url: str, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=True)
    context.set_default_timeout(PATIENCE)
    tablet = context.new_page()
    tablet.goto(app_url, wait_until="domcontentloaded")
    open_tab(tablet)
    open_scene(tablet, tmp_path)
    devtools = context.new_cdp_session(tablet)

    def touch(*ways: list[tuple[float, float]]) -> None:
        """Move a finger along each of the ways, all at once; places are the photo's."""
        board = Board(tablet)
        for number, places in enumerate(zip(*ways, strict=True)):
            points = [
                {"x": x, "y": y, "id": finger}
                for finger, (x, y) in enumerate(board.place(*place) for place in places)
            ]
            kind = "touchMove" if number else "touchStart"
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def assert_what_lies_there(instance: str) -> None:
        button(tablet, "Select").tap()
        tablet.touchscreen.tap(*Board(tablet).place(200, 80))
        expect(said(tablet)).to_contain_text(f"Selected: {instance}")

    before = areas(tablet)
    tablet.touchscreen.tap(*Board(tablet).place(210, 90))
    button(tablet, "Brush").tap()
    touch([(210, 90), (220, 120), (230, 140)])
    drawn = areas(tablet)
    assert drawn[2] > before[2] + 300

    # two fingers do not draw: they go apart around the middle, then to the left together
    touch([(110, 80), (100, 80), (90, 80)], [(130, 80), (140, 80), (150, 80)])
    assert areas(tablet) == drawn
    assert_what_lies_there("1 disc")
    button(tablet, "Brush").tap()
    touch([(230, 60), (130, 60), (30, 60)], [(230, 100), (130, 100), (30, 100)])
    assert areas(tablet) == drawn
    assert_what_lies_there("2 disc")
    button(tablet, "Box/Click").tap()
    button(tablet, "Fit").tap()
    touch([(37, 47), (70, 80), (98, 113)])
    expect(said(tablet)).to_contain_text("Enter takes it")
    expect(button(tablet, "Take")).to_be_visible()
    context.close()
