"""The tab "Inspect" as a visitor uses it, in a real browser."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.conftest import open_page
from tests.browser.test_cutout import download, write_photo

pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "segdemo" / "assets" / "examples"

CLICK_AND_WAIT = """async (pair) => {
  const view = document.querySelector("#trace-view"), plot = view.querySelector(".gaps");
  const box = view.querySelectorAll(".pair")[pair].getBoundingClientRect();
  const place = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
  plot.dispatchEvent(new MouseEvent("click", { bubbles: true, ...place }));
  await view.querySelector(".large").decode();
}"""


@pytest.fixture
def tab(page: Page) -> Iterator[Page]:
    open_tab(page)
    yield page


@pytest.fixture(scope="module")
def finished(
    visitor: BrowserContext, app_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The tab with a finished run, for tests that only look into it."""
    page = open_page(visitor, app_url)
    open_tab(page)
    choose(page, write_photo(tmp_path_factory.mktemp("finished") / "red box.png"))
    run(page)
    yield page
    page.close()


@pytest.fixture
def traced(finished: Page) -> Page:
    """A finished run, at its first step and with the rule's thresholds."""
    finished.locator("#trace-view .strip button").first.click()
    edge_timestep(finished, 999)
    back = finished.get_by_role("button", name="Back to the rule")
    if back.is_visible() and back.is_enabled():
        back.click()
    return finished


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Inspect").click()
    page.locator("#trace-run").wait_for()


def choose(page: Page, photo: Path) -> None:
    page.locator("#trace-photo input[type=file]").set_input_files(photo)
    page.locator("#trace-photo img").wait_for()


def run(page: Page, said: str = "PeakKL chooses") -> None:
    page.locator("#trace-run").click()
    expect(page.locator("#trace-run")).to_be_disabled()
    expect(page.locator("#trace-run")).to_be_enabled()
    expect(page.locator("#trace-status")).to_contain_text(said)


def open_settings(page: Page) -> None:
    page.get_by_role("button", name="Trace settings").click()
    page.locator("#timesteps textarea").wait_for()
    page.wait_for_timeout(500)  # fields are given their values a moment after they appear


def pairs(page: Page) -> Locator:
    return page.locator("#trace-view .pair")


def shown(page: Page) -> str:
    return page.locator("#trace-view .large-caption").inner_text()


def edge_timestep(page: Page, timestep: int) -> None:
    caption = page.locator("#edge-chart .score-caption")
    expect(caption).to_contain_text(f"timestep {timestep}:")


def test_an_example_is_traced_and_a_click_on_the_curve_shows_its_step(tab: Page) -> None:
    tab.locator("#trace-photo-examples img").first.click()
    tab.locator("#trace-photo img").wait_for()
    run(tab)
    expect(tab.locator("#trace-status")).to_contain_text("128 px, 10 steps")
    expect(pairs(tab)).to_have_count(9)
    expect(tab.locator("#trace-view .strip button")).to_have_count(10)
    expect(tab.locator("#trace-view .peak .mark")).to_have_count(1)
    expect(tab.locator("#trace-view .peak-name")).to_contain_text("PeakKL: ")
    assert "PeakKL's choice" in shown(tab)

    large = tab.locator("#trace-view .large")
    before = large.get_attribute("src")
    loaded: list[str] = []
    tab.on("request", lambda request: loaded.append(request.url))
    for pair in (1, 6, 3):
        tab.evaluate(CLICK_AND_WAIT, pair)
    assert not [url for url in loaded if "/file=" in url]  # every step's image came with the run
    assert large.get_attribute("src") != before
    assert shown(tab).startswith("Attention at timestep 599")
    edge_timestep(tab, 599)


def test_keys_choose_a_pair_and_the_last_one_counts(traced: Page) -> None:
    traced.locator("#trace-view .pair[tabindex='0']").focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "End", "ArrowLeft"):
        traced.keyboard.press(key)
    assert shown(traced).startswith("Attention at timestep 199")
    chosen = pairs(traced).nth(7)
    expect(chosen).to_be_focused()
    expect(chosen).to_have_attribute("aria-selected", "true")
    expect(traced.locator("#trace-view .said")).to_contain_text("299 → 199: gap")
    edge_timestep(traced, 199)


def test_a_choice_that_another_overtook_on_its_way_is_not_shown(traced: Page) -> None:
    held: list[Route] = []

    def hold_99(route: Route) -> None:
        if '"timestep":99,' in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    traced.route("**/queue/join*", hold_99)
    steps = traced.locator("#trace-view .strip button")
    steps.nth(9).click()
    assert shown(traced).startswith("Attention at timestep 99")
    traced.wait_for_timeout(200)  # until the next choice is sent at once
    steps.nth(8).click()
    edge_timestep(traced, 199)
    assert len(held) == 1
    with traced.expect_response("**/queue/join*"):
        held[0].continue_()
    traced.wait_for_timeout(500)  # for an answer that must not come
    edge_timestep(traced, 199)
    traced.unroute_all()


def test_a_click_on_a_cell_shows_where_it_looks(traced: Page) -> None:
    view = traced.locator("#trace-view")
    attention = view.locator(".attention")
    expect(attention).to_be_hidden()
    view.locator(".large").click()
    expect(attention).to_be_visible()
    expect(view.locator(".cell-words")).to_contain_text("where the marked cell looks")
    before = attention.evaluate("canvas => canvas.toDataURL()")
    view.locator(".strip button").nth(7).click()  # the same cell at another step
    traced.wait_for_function(
        "before => document.querySelector('#trace-view .attention').toDataURL() !== before",
        arg=before,
    )
    view.locator(".frame").last.focus()
    marked = view.locator(".cell").last.get_attribute("style")
    traced.keyboard.press("ArrowLeft")
    expect(view.locator(".cell").last).not_to_have_attribute("style", marked or "")
    traced.keyboard.press("Escape")
    expect(attention).to_be_hidden()


def test_hovering_tells_the_pair_and_its_gap(traced: Page) -> None:
    pairs(traced).nth(2).hover()
    expect(traced.locator("#trace-view .tip")).to_contain_text("799 → 699: gap")
    expect(traced.locator("#trace-view .tip")).to_contain_text("nats")


def test_a_fixed_step_stays_and_following_returns(tab: Page, tmp_path: Path) -> None:
    choose(tab, write_photo(tmp_path / "red.png"))
    run(tab)
    peak = shown(tab)
    follow = tab.get_by_role("switch", name="Follow PeakKL")
    expect(follow).to_have_attribute("aria-checked", "true")
    tab.locator("#trace-view .strip button").first.click()
    expect(follow).to_have_attribute("aria-checked", "false")
    edge_timestep(tab, 999)

    open_settings(tab)
    tab.get_by_label("Seed").last.fill("5")
    tab.get_by_label("Seed").last.press("Tab")
    run(tab)
    expect(tab.locator("#trace-view .legend")).to_contain_text("seed 5")
    assert shown(tab).startswith("Attention at timestep 999")
    edge_timestep(tab, 999)
    follow.click()
    assert "PeakKL's choice" in shown(tab)
    assert peak.endswith("PeakKL's choice")


def test_thresholds_move_the_edge_at_once_and_the_rule_comes_back(traced: Page) -> None:
    words, note = traced.locator("#edge-chart .edge-words"), traced.locator("#edge-chart .note")
    by_rule = words.inner_text()
    expect(note).to_contain_text("Rule")
    upper = traced.get_by_role("slider", name="Edge above")
    upper.focus()
    value = float(upper.get_attribute("aria-valuenow") or "nan")
    upper.press("PageDown")
    assert float(upper.get_attribute("aria-valuenow") or "nan") < value
    assert words.inner_text() != by_rule
    expect(note).to_contain_text("set by hand")

    before = traced.locator("#edge-chart .labels").evaluate("canvas => canvas.toDataURL()")
    handle = traced.locator("#edge-chart .handle.lower .grip")
    handle.hover()  # waits until the page around it stands still
    grip = handle.bounding_box()
    assert grip is not None
    traced.mouse.down()
    traced.mouse.move(20, grip["y"] + 8, steps=3)
    during = traced.locator("#edge-chart .labels").evaluate("canvas => canvas.toDataURL()")
    traced.mouse.up()
    assert during != before
    expect(traced.locator("#edge-chart .interior-words")).to_contain_text("(0.0 %)")

    traced.get_by_role("button", name="Back to the rule").click()
    assert words.inner_text() == by_rule


def test_another_rule_is_named_and_explained(traced: Page) -> None:
    traced.get_by_label("Threshold rule").click()
    traced.get_by_role("option", name="log").click()
    expect(traced.locator("#edge-chart .note")).to_contain_text("Rule: log")
    expect(traced.locator("#rule-note")).to_contain_text("logarithm")


def test_downloads_hold_the_edge_that_is_shown(traced: Page) -> None:
    traced.locator("#trace-view .strip button").nth(4).click()
    edge_timestep(traced, 599)
    traced.get_by_role("slider", name="Edge above").focus()
    traced.keyboard.press("PageDown")
    traced.wait_for_timeout(1000)  # until the keys count as done and the server heard of them
    name, content = download(traced, "Download NPZ")
    assert name == "red box_trace.npz"
    with np.load(io.BytesIO(content)) as arrays:
        assert arrays["shown_timestep"] == 599
        assert arrays["rule"] == "by hand"
    name, content = download(traced, "Download CSV")
    assert name == "red box_kl_curve.csv"
    assert content.splitlines()[0] == b"timestep,next_timestep,gap"
    name, content = download(traced, "Download ZIP")
    assert name == "red box_trace.zip"
    assert "red box/pseudo_edge.png" in zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_a_pinned_run_stays_beside_the_next(tab: Page, tmp_path: Path) -> None:
    choose(tab, write_photo(tmp_path / "red.png"))
    run(tab)
    tab.get_by_role("button", name="Pin this run").click()
    expect(tab.locator("#trace-view .legend")).to_contain_text("pinned: red.png, default settings")
    open_settings(tab)
    tab.locator("#timesteps textarea").fill("950:50:4")
    run(tab)
    expect(pairs(tab)).to_have_count(3)
    expect(tab.locator("#trace-view .gaps .line.pinned")).to_have_count(1)
    held = tab.locator("#trace-view .held-strip button")
    expect(held).to_have_count(10)
    held.nth(2).click()  # two steps side by side, of two runs
    photo, beside = tab.locator("#trace-view .photo"), tab.get_by_label("Shown beside the step")
    expect(photo).to_have_attribute("alt", "Attention as colours, pinned: t = 799")
    expect(photo).to_have_js_property("complete", True)
    beside.select_option("t = 50")
    expect(photo).to_have_attribute("alt", "Attention as colours, t = 50")
    tab.get_by_role("button", name="Unpin").click()
    expect(tab.locator("#trace-view .gaps .line.pinned")).to_have_count(0)


def test_a_mask_file_shows_whether_steps_separate_instances(tab: Page) -> None:
    expect(tab.locator("#trace-view .ratios")).to_be_hidden()
    tab.get_by_role("button", name="Instance check").click()
    choose(tab, EXAMPLES / "instances" / "hens.jpg")
    mask = EXAMPLES / "instances" / "hens_instances.png"
    tab.locator("#instance-mask input[type=file]").set_input_files(mask)
    tab.locator("#instance-mask img").wait_for()
    run(tab)
    ratios = tab.locator("#trace-view .ratios")
    expect(ratios).to_be_visible()
    expect(ratios).to_contain_text("1.0: no preference")
    expect(ratios.locator(".mark")).to_have_count(10)


def test_instances_are_drawn_with_mouse_or_keys(tab: Page, tmp_path: Path) -> None:
    choose(tab, write_photo(tmp_path / "red.png"))
    tab.get_by_role("button", name="Instance check").click()
    tab.get_by_role("tab", name="Draw").click()
    board = tab.locator("#painter canvas")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    assert box is not None
    x, y = box["x"], box["y"] + box["height"] / 2
    tab.mouse.move(x + box["width"] * 0.1, y)
    tab.mouse.down()
    tab.mouse.move(x + box["width"] * 0.3, y, steps=4)
    tab.mouse.up()
    expect(tab.locator("#painter .said")).to_contain_text("1 instance drawn; the check needs 2")
    board.press("2")
    for _ in range(3):
        board.press("ArrowRight")
    board.press(" ")
    expect(tab.locator("#painter .said")).to_contain_text("2 instances drawn")
    tab.wait_for_timeout(500)
    run(tab)
    expect(tab.locator("#trace-view .ratios")).to_be_visible()


def test_what_is_wrong_is_said_in_words(tab: Page, tmp_path: Path) -> None:
    toast = tab.get_by_test_id("toast-body")
    tab.locator("#trace-run").click()
    expect(toast).to_contain_text("no photo yet")
    choose(tab, write_photo(tmp_path / "red.png"))
    tab.get_by_role("button", name="Instance check").click()
    mask = tmp_path / "mask & <b>co.png"
    Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8)).save(mask)
    tab.locator("#instance-mask input[type=file]").set_input_files(mask)
    tab.locator("#instance-mask img").wait_for()
    tab.locator("#trace-run").click()
    expect(toast.last).to_contain_text("mask & <b>co.png is 2 x 2, the photo 90 x 60")
    expect(tab.locator("#trace-run")).to_be_enabled()


def test_stop_or_another_photo_ends_a_run_and_its_steps_stay(tab: Page, tmp_path: Path) -> None:
    choose(tab, write_photo(tmp_path / "red.png"))
    open_settings(tab)
    tab.locator("#timesteps textarea").fill("999:0:100")
    tab.get_by_label("Draws of noise").fill("8")
    tab.get_by_label("Draws of noise").press("Tab")
    tab.locator("#trace-run").click()
    expect(tab.locator("#trace-view .strip button").nth(2)).to_be_visible()
    tab.locator("#trace-stop").click()
    expect(tab.locator("#trace-status")).to_contain_text("Stopped: 128 px,")
    expect(tab.locator("#trace-run")).to_be_enabled()
    steps = tab.locator("#trace-view .strip button").count()
    assert 3 <= steps < 100
    expect(tab.get_by_role("button", name="Download CSV")).to_be_enabled()

    tab.locator("#trace-run").click()
    expect(tab.locator("#trace-status")).to_contain_text("Step ")
    tab.locator("#trace-photo").get_by_role("button", name="Remove Image").click()
    expect(tab.locator("#trace-status")).to_contain_text("Stopped: 128 px,")


def test_a_run_that_fails_takes_nothing_away(tab: Page, tmp_path: Path) -> None:
    choose(tab, write_photo(tmp_path / "red.png"))
    run(tab)
    open_settings(tab)
    tab.get_by_label("Layer filter").fill("nonesuch")
    tab.get_by_label("Layer filter").press("Tab")
    tab.locator("#trace-run").click()
    expect(tab.get_by_test_id("toast-body")).to_contain_text("nonesuch")
    tab.locator("#trace-view .strip button").nth(1).click()
    edge_timestep(tab, 899)
    tab.locator("#trace-photo").get_by_role("button", name="Remove Image").click()
    expect(tab.locator("#trace-photo img")).to_have_count(0)
    expect(tab.locator("#trace-view .legend")).to_contain_text("red.png")


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, app_url: str, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    phone = context.new_page()
    phone.goto(app_url, wait_until="domcontentloaded")
    open_tab(phone)
    choose(phone, write_photo(tmp_path / "red.png"))
    run(phone)
    open_settings(phone)
    phone.get_by_role("button", name="Instance check").click()
    phone.get_by_role("tab", name="Draw").click()
    phone.locator("#painter canvas").wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    small = phone.evaluate(
        """[...document.querySelectorAll("button")]
           .filter(b => b.offsetParent && b.getBoundingClientRect().height < 32)
           .map(b => b.outerHTML.slice(0, 80))"""
    )
    assert small == []
    context.close()


def test_the_page_does_not_overclaim(finished: Page) -> None:
    expect(finished.locator("#honesty")).to_contain_text("no proof that instances separate")
    expect(finished.get_by_text("the meaning of a colour drifts")).to_have_count(1)
