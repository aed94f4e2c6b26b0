"""The tab "Cut out" as a visitor uses it, in a real browser."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import assert_accessible

pytestmark = pytest.mark.browser

EXAMPLE = Path(__file__).parents[2] / "segdemo" / "assets" / "examples" / "dog.jpg"


def write_photo(path: Path, size: tuple[int, int] = (90, 60)) -> Path:
    width, height = size
    pixels = np.full((height, width, 3), 230, np.uint8)
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = (200, 30, 30)
    Image.fromarray(pixels).save(path)
    return path


def choose(page: Page, photo: Path) -> None:
    page.locator("#photo input[type=file]").set_input_files(photo)
    page.locator("#photo img").wait_for()


def segment(page: Page) -> None:
    page.get_by_role("button", name="Segment", exact=True).click()
    expect(page.locator("#run-status")).to_contain_text("px,")


def open_advanced(page: Page) -> None:
    page.get_by_role("button", name="Advanced").click()
    page.locator("#threshold").wait_for()
    page.wait_for_timeout(500)  # fields are given their values a moment after they appear


def start_batch(page: Page, photos: list[Path]) -> None:
    """Segment many photos, each in eight passes."""
    open_advanced(page)
    page.get_by_label("number input for Ensemble").fill("8")
    page.get_by_label("number input for Ensemble").press("Tab")
    page.get_by_text("Many photos at once").click()
    page.locator("#batch-files input[type=file]").set_input_files(photos)
    expect(page.locator("#batch-files")).to_contain_text(photos[-1].stem)
    page.get_by_role("button", name="Segment all").click()
    expect(page.locator("#batch-status")).to_contain_text(f"of {len(photos)} done")


def download(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as started:
        page.get_by_role("button", name=button, exact=True).click()
    return started.value.suggested_filename, Path(started.value.path()).read_bytes()


def test_an_example_is_segmented_and_its_files_are_downloaded(page: Page) -> None:
    page.get_by_role("button", name="Example photo dog.jpg").click()  # which also runs it
    expect(page.locator("#run-status")).to_contain_text("64 px, 1 pass, cpu")
    page.get_by_role("tab", name="Mask").click()
    expect(page.locator("#mask img")).to_be_visible()

    width_height = Image.open(EXAMPLE).size
    name, content = download(page, "Download mask")
    mask = Image.open(io.BytesIO(content))
    assert (name, mask.mode, mask.size) == ("dog_mask.png", "L", width_height)
    name, content = download(page, "Download cut-out")
    cutout = Image.open(io.BytesIO(content))
    assert (name, cutout.mode, cutout.size) == ("dog_cutout.png", "RGBA", width_height)
    name, content = download(page, "Download all")
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert (name, sorted(names)) == (
        "dog_segdemo.zip",
        ["dog_cutout.png", "dog_edge.png", "dog_mask.png"],
    )

    page.get_by_role("tab", name="Cut-out").click()
    shown = page.locator("#cutout img").get_attribute("src")
    page.get_by_label("number input for Clear up to").fill("0.6")
    page.get_by_label("number input for Clear up to").press("Tab")
    expect(page.locator("#cutout img")).not_to_have_attribute("src", shown or "")
    page.get_by_role("button", name="Background, trim and format").click()
    page.get_by_label("Trim to the subject").check()
    page.locator("#finishing").get_by_label("Photo", exact=True).check()
    page.locator("#background-photo input[type=file]").set_input_files(EXAMPLE)
    page.locator("#background-photo img").wait_for()
    page.get_by_label("JPEG", exact=True).check()
    name, content = download(page, "Download cut-out")
    cutout = Image.open(io.BytesIO(content))
    assert (name, cutout.format, cutout.mode) == ("dog_cutout.jpg", "JPEG", "RGB")
    assert cutout.size <= width_height


def draw_window(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the cut-out; corners as fractions of its sides."""
    box = page.locator("#window-view img").bounding_box()
    assert box is not None
    corners = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=3)
    page.mouse.up()


def test_a_cut_out_is_touched_up_and_that_is_taken_back(page: Page, tmp_path: Path) -> None:
    choose(page, write_photo(tmp_path / "red.png"))
    segment(page)
    page.get_by_role("tab", name="Touch up").click()
    look = page.get_by_role("button", name="Look closer", exact=True)
    look.click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("Draw a window first")
    expect(look).to_be_enabled()
    masks = [np.asarray(Image.open(io.BytesIO(download(page, "Download mask")[1])))]
    draw_window(page, (0.2, 0.2), (0.8, 0.8))
    expect(page.locator("#window-view")).to_contain_text("Press Look closer")
    for count in ("1 change so far", "2 changes so far"):
        look.click()
        expect(page.locator("#run-status")).to_contain_text(count)
    masks.append(np.asarray(Image.open(io.BytesIO(download(page, "Download mask")[1]))))
    assert (masks[0] != masks[1]).any()
    assert (masks[0][:8] == masks[1][:8]).all()  # above the window
    page.locator("#window-view .stage").focus()
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(page.locator("#window-view .box")).to_be_visible()
    page.get_by_role("button", name="Brush: add").click()
    draw_window(page, (0.1, 0.1), (0.3, 0.1))
    expect(page.locator("#run-status")).to_contain_text("3 changes so far")
    painted = np.asarray(Image.open(io.BytesIO(download(page, "Download mask")[1])))
    assert painted[6, 18] == 255
    for count in ("2 changes so far", "1 change so far", "0 changes so far"):
        page.get_by_role("button", name="Undo", exact=True).click()
        expect(page.locator("#run-status")).to_contain_text(count)
    back = np.asarray(Image.open(io.BytesIO(download(page, "Download mask")[1])))
    np.testing.assert_array_equal(back, masks[0])


def test_the_threshold_redraws_without_another_run(page: Page, tmp_path: Path) -> None:
    choose(page, write_photo(tmp_path / "red.png"))
    segment(page)
    status = page.locator("#run-status").inner_text()
    page.get_by_role("tab", name="Mask").click()
    shown = page.locator("#mask img").get_attribute("src")
    open_advanced(page)
    page.get_by_label("Soft mask").uncheck()
    expect(page.locator("#mask img")).not_to_have_attribute("src", shown)

    _, content = download(page, "Download mask")
    assert set(np.unique(np.asarray(Image.open(io.BytesIO(content))))) <= {0, 255}
    assert page.locator("#run-status").inner_text() == status


def test_an_ensemble_shows_its_uncertainty(page: Page, tmp_path: Path) -> None:
    choose(page, write_photo(tmp_path / "red.png"))
    page.get_by_role("tab", name="Uncertainty").click()
    expect(page.get_by_text("compares several predictions")).to_be_visible()
    open_advanced(page)
    page.get_by_label("number input for Ensemble").fill("3")
    page.get_by_label("number input for Ensemble").press("Tab")
    segment(page)
    expect(page.locator("#run-status")).to_contain_text("3 passes")
    expect(page.locator("#uncertainty img")).to_be_visible()


def test_a_broken_file_is_named_and_the_next_one_works(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "notes & <b>more.png"
    broken.write_text("no picture")
    page.locator("#photo input[type=file]").set_input_files(broken)
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text("notes & <b>more.png")
    expect(page.locator("#photo img")).to_have_count(0)

    choose(page, write_photo(tmp_path / "red.png"))
    segment(page)


def test_a_tiff_is_shown_and_keeps_its_name(page: Page, tmp_path: Path) -> None:
    choose(page, write_photo(tmp_path / "scan.tiff"))
    expect(page.locator("#photo img")).to_have_js_property("naturalWidth", 90)
    segment(page)
    name, content = download(page, "Download mask")
    assert (name, Image.open(io.BytesIO(content)).size) == ("scan_mask.png", (90, 60))


def test_no_photo_is_said_in_words(page: Page) -> None:
    page.get_by_role("button", name="Segment", exact=True).click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("no photo yet")
    expect(page.get_by_role("button", name="Segment", exact=True)).to_be_enabled()


def test_stop_or_another_photo_ends_a_long_run(page: Page, tmp_path: Path) -> None:
    choose(page, write_photo(tmp_path / "red.png"))
    open_advanced(page)
    page.get_by_label("number input for Ensemble").fill("8")
    page.get_by_label("number input for Ensemble").press("Tab")
    page.get_by_label("Test-time augmentation").check()
    page.get_by_label("Working size").click()
    page.get_by_role("option", name="512 px").click()
    page.get_by_role("button", name="Segment", exact=True).click()
    stop = page.locator("#stop")
    expect(stop).to_be_enabled()
    stop.click()
    expect(page.locator("#run-status")).to_contain_text("Stopped.")
    start = page.get_by_role("button", name="Segment", exact=True)
    expect(start).to_be_enabled()

    start.click()
    expect(stop).to_be_enabled()
    page.locator("#photo").get_by_role("button", name="Remove Image").click()
    choose(page, write_photo(tmp_path / "another.png"))
    expect(start).to_be_enabled()
    expect(page.locator("#run-status")).not_to_contain_text("px,")
    expect(page.get_by_role("button", name="Download mask")).to_be_disabled()
    expect(page.locator("#compare img")).to_have_count(0)


def test_a_batch_goes_on_past_a_bad_file(page: Page, tmp_path: Path) -> None:
    good, other = write_photo(tmp_path / "one.png"), write_photo(tmp_path / "two (2).png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    page.get_by_text("Many photos at once").click()
    page.locator("#batch-files input[type=file]").set_input_files([good, bad, other])
    expect(page.locator("#batch-files")).to_contain_text("two (2)")
    page.get_by_role("button", name="Segment all").click()
    expect(page.locator("#batch-status")).to_contain_text("2 of 3 done, 1 failed")
    expect(page.locator("#batch-table")).to_contain_text("failed")

    page.locator("#batch-gallery button").nth(1).click()
    name, content = download(page, "Download all results")
    names = sorted(zipfile.ZipFile(io.BytesIO(content)).namelist())
    assert name == "segdemo_results.zip"
    assert names == [
        f"{stem}_{kind}.png" for stem in ("one", "two (2)") for kind in ("cutout", "edge", "mask")
    ]
    page.get_by_role("button", name="Send the chosen one to Refine").click()
    expect(page.get_by_role("tab", name="Refine")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#mask-editor .said")).to_contain_text("The mask is here")


def test_two_sessions_do_not_see_each_other(
    page: Page, browser: Browser, app_url: str, tmp_path: Path
) -> None:
    choose(page, write_photo(tmp_path / "mine.png"))
    segment(page)
    start_batch(page, [write_photo(tmp_path / f"{number}.png") for number in range(30)])
    context = browser.new_context()
    stranger = context.new_page()
    stranger.goto(app_url, wait_until="domcontentloaded")
    expect(stranger.locator("#run-status")).to_contain_text("Choose a photo")
    expect(stranger.get_by_role("button", name="Download mask")).to_be_disabled()
    choose(stranger, write_photo(tmp_path / "theirs.png", (40, 50)))
    segment(stranger)
    context.close()
    # the single photo waited for one of the batch, which is stopped wherever it is
    expect(page.locator("#batch-status")).to_contain_text("of 30 done")
    page.locator("#batch-stop").click()
    expect(page.locator("#batch-status")).to_have_text(re.compile(r"Stopped: \d+ of 30 done"))
    expect(page.locator("#segment-all")).to_be_enabled()

    page.get_by_label("Soft mask").uncheck()
    page.wait_for_timeout(1000)
    name, content = download(page, "Download mask")
    assert (name, Image.open(io.BytesIO(content)).size) == ("mine_mask.png", (90, 60))


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, app_url: str, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone = context.new_page()
    phone.goto(app_url, wait_until="domcontentloaded")
    phone.get_by_role("button", name="Segment", exact=True).wait_for()
    choose(phone, write_photo(tmp_path / "red.png"))
    segment(phone)
    expect(phone.locator("#compare")).to_be_in_viewport(ratio=0.5)
    open_advanced(phone)
    phone.get_by_text("Many photos at once").click()
    phone.locator("#batch-table").wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    small = phone.evaluate(
        """[...document.querySelectorAll("button")]
           .filter(b => b.offsetParent && b.getBoundingClientRect().height < 32)
           .map(b => b.outerHTML.slice(0, 80))"""
    )
    assert small == []
    context.close()


def test_the_page_asks_nothing_of_other_servers(browser: Browser, app_url: str) -> None:
    context = browser.new_context()
    visitor = context.new_page()
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url))
    visitor.goto(app_url, wait_until="domcontentloaded")
    visitor.get_by_role("button", name="Segment", exact=True).wait_for()
    context.close()
    assert [url for url in asked if url.startswith("http") and not url.startswith(app_url)] == []


def test_every_tab_is_accessible(untouched: Page) -> None:
    assert untouched.get_by_role("heading", level=1).all_inner_texts() == ["segdemo"]
    expect(untouched.locator("#run-status")).to_have_attribute("aria-live", "polite")
    for tab, shown in (
        ("Inspect", "#trace-run"),
        ("Refine", "#mask-editor .mask-editor"),
        ("Help", "#licences, h2"),
        ("Cut out", "#segment"),
    ):
        untouched.get_by_role("tab", name=tab).click()
        untouched.locator(shown).locator("visible=true").first.wait_for()
        assert_accessible(untouched)


def test_a_camera_takes_the_photo(page: Page) -> None:
    photo = page.locator("#photo")
    for name in ("Send mask to Refine", "Download mask"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    photo.get_by_role("button", name="Capture from camera").click()
    photo.get_by_text("Click to Access Webcam").click()
    page.wait_for_function(  # a photo is taken of what the video shows: something, by then
        "() => document.querySelector('#photo video')?.videoWidth > 0"
        " && document.querySelector('#photo video').currentTime > 0.2"
    )
    photo.get_by_role("button", name="capture photo").click()
    expect(photo.locator("img")).to_be_visible()
    segment(page)
    _, content = download(page, "Download mask")
    shown = photo.locator("img").evaluate("one => [one.naturalWidth, one.naturalHeight]")
    assert list(Image.open(io.BytesIO(content)).size) == shown
    expect(page.get_by_role("button", name="Send mask to Refine")).to_be_enabled()
