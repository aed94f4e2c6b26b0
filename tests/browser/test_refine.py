"""The tab "Refine" as an annotator uses it, in a real browser."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from pycocotools import mask as rle
from pycocotools.coco import COCO
from scipy import ndimage

from tests.browser import test_inspect as inspect
from tests.browser.conftest import PATIENCE
from tests.browser.serving import Server
from tests.browser.test_cutout import choose, download, segment, write_photo

pytestmark = pytest.mark.browser

Mask = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 240, 160
MIDDLE = 98  # column where the two discs that touch meet
BITE = (202, 72)  # a place of the third disc that its mask lacks
COLOURS = [(200, 60, 50), (20, 40, 110), (230, 190, 40)]


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) <= radius


def true_masks() -> list[Mask]:
    """Two discs that touch, and one apart."""
    left, right = disc(70, 80, 32), disc(126, 80, 32)
    columns = np.arange(WIDTH)
    return [left & (columns < MIDDLE), right & (columns >= MIDDLE), disc(200, 80, 26)]


def write_scene(folder: Path, name: str = "discs.png") -> Path:
    """Write the discs as a photo."""
    pixels = np.full((HEIGHT, WIDTH, 3), 235, np.uint8)
    for mask, colour in zip(true_masks(), COLOURS, strict=True):
        pixels[mask] = colour
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def write_coco(photo: Path, masks: list[Mask], label: str = "disc") -> Path:
    """Write masks as COCO JSON beside their photo."""
    annotations = []
    for number, mask in enumerate(masks, start=1):
        packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 3,
                "iscrowd": 0,
                "area": int(mask.sum()),
                "bbox": rle.toBbox(packed).tolist(),
                "segmentation": {"size": packed["size"], "counts": packed["counts"].decode()},
            }
        )
    height, width = masks[0].shape
    image = {"id": 1, "file_name": photo.name, "width": width, "height": height}
    content = {
        "images": [image],
        "annotations": annotations,
        "categories": [{"id": 3, "name": label}],
    }
    photo.with_suffix(".json").write_text(json.dumps(content))
    return photo.with_suffix(".json")


def write_edges(photo: Path) -> Path:
    """Write the discs' outlines as an edge map beside their photo."""
    edge = np.zeros((HEIGHT, WIDTH), bool)
    for mask in true_masks():
        edge |= ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask)
    path = photo.with_name(f"{photo.stem}_edge.png")
    Image.fromarray(np.where(edge, 255, 0).astype(np.uint8)).save(path)
    return path


def merged_masks() -> list[Mask]:
    """Masks as a method may give them: what touches is one, and the third disc lacks a bite."""
    left, right, third = true_masks()
    return [left | right, third & ~disc(*BITE, 6)]


@dataclass(frozen=True)
class Board:
    """The canvas with a whole picture on it, addressed in the picture's pixels."""

    page: Page
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def canvas(self) -> Locator:
        return self.page.locator("#mask-editor canvas.view")

    def box(self) -> FloatRect:
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        assert box is not None
        return box

    def place(self, x: float, y: float) -> tuple[float, float]:
        box = self.box()
        zoom = min(box["width"] / self.width, box["height"] / self.height) / 1.02
        across, down = (x - self.width / 2) * zoom, (y - self.height / 2) * zoom
        return box["x"] + box["width"] / 2 + across, box["y"] + box["height"] / 2 + down

    def click(self, x: float, y: float, *modifiers: str) -> None:
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.place(x, y))
        for key in modifiers:
            self.page.keyboard.up(key)

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=6)
        self.page.mouse.up()

    def colour(self, x: float, y: float) -> tuple[int, ...]:
        """Return what is drawn on a pixel of the picture, as (red, green, blue)."""
        left, top = self.place(x, y)
        box = self.box()
        read = """(canvas, [x, y]) => new Promise((done) => requestAnimationFrame(() => {
          const ratio = devicePixelRatio, pen = canvas.getContext("2d");
          done([...pen.getImageData(x * ratio, y * ratio, 1, 1).data].slice(0, 3));
        }))"""
        return tuple(self.canvas.evaluate(read, [left - box["x"], top - box["y"]]))


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Refine").click()
    page.locator("#mask-editor .mask-editor").wait_for()


def open_files(page: Page, photos: list[Path], masks: list[Path], edges: list[Path]) -> None:
    for kind, files in (("photos", photos), ("masks", masks), ("edges", edges)):
        if files:
            page.locator(f"#refine-{kind} input[type=file]").set_input_files(files)
            expect(page.locator(f"#refine-{kind}")).to_contain_text(files[-1].stem)
    page.locator("#refine-open-files").click()


def open_scene(page: Page, folder: Path) -> None:
    """Open the discs with poor masks and good edges."""
    photo = write_scene(folder)
    open_files(page, [photo], [write_coco(photo, merged_masks())], [write_edges(photo)])
    expect(said(page)).to_contain_text("discs.png: 240 x 160, 2 instances.")


def said(page: Page) -> Locator:
    return page.locator("#mask-editor .said")


def button(page: Page, name: str) -> Locator:
    return page.locator("#mask-editor").get_by_role("button", name=name, exact=True)


def rows(page: Page) -> Locator:
    return page.locator("#mask-editor .instances .instance")


def areas(page: Page) -> dict[int, int]:
    """Return pixels by instance, as the list tells them."""
    found = {}
    for text in rows(page).all_inner_texts():
        numbers = re.findall(r"[\d,]+", text)
        found[int(numbers[0])] = int(numbers[-1].replace(",", ""))
    return found


def all_saved(page: Page) -> None:
    expect(page.locator("#mask-editor .badge")).to_have_text("Saved")


def export(page: Page, scope: str, mask_format: str) -> tuple[str, bytes]:
    if not page.locator("#take-masks").is_visible():
        page.get_by_role("button", name="Export").click()
    page.get_by_label(scope, exact=True).check()
    page.locator("#mask-format input").click()
    page.get_by_role("option", name=mask_format).click()
    return download(page, "Download masks")


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def assert_as_drawn(masks: list[Mask]) -> None:
    """Expect each of the true discs once."""
    assert len(masks) == 3
    best = [max(iou(truth, mask) for mask in masks) for truth in true_masks()]
    assert min(best) > 0.95, best


@pytest.fixture(scope="module")
def bench(
    browser: Browser, app_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Board]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(app_url, wait_until="domcontentloaded")
    open_tab(page)
    open_scene(page, tmp_path_factory.mktemp("scene"))
    yield Board(page)
    context.close()


@pytest.fixture
def board(bench: Board) -> Board:
    """The discs, with the masks that they came with."""
    bench.canvas.press("Escape")
    button(bench.page, "Start over").click()
    expect(said(bench.page)).to_contain_text("as they came")
    bench.canvas.press("v")
    return bench


def test_an_annotator_goes_the_whole_way(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    expect(page.locator("#refine-report")).to_contain_text("1 photo opened.")
    whole, third = (int(mask.sum()) for mask in merged_masks())
    assert areas(page) == {1: whole, 2: third}
    board = Board(page)

    before = board.colour(MIDDLE, 70)  # beside the number in the middle
    button(page, "Edge map").click()
    assert min(board.colour(MIDDLE, 70)) > max(before[0], 150)
    button(page, "Preview").click()
    proposal = page.locator("#mask-editor .proposals li")
    expect(proposal).to_have_count(1)
    expect(proposal).to_contain_text("split 1 into 2 parts")
    button(page, "Accept: split 1 into 2 parts").click()
    expect(rows(page)).to_have_count(3)
    expect(proposal).to_contain_text("accepted")

    board.click(210, 90)
    expect(said(page)).to_contain_text("Selected: 2 disc")
    page.keyboard.press("b")
    split = areas(page)
    board.drag((BITE[0] - 5, BITE[1]), (BITE[0] + 5, BITE[1]))
    mended = areas(page)
    assert mended[2] == true_masks()[2].sum()
    page.keyboard.press("Control+z")
    assert areas(page) == split
    page.keyboard.press("Control+y")
    assert areas(page) == mended
    all_saved(page)

    page.reload(wait_until="domcontentloaded")
    open_tab(page)
    expect(said(page)).to_contain_text("Your work is as you left it.")
    assert areas(page) == mended
    name, content = export(page, "This photo", "COCO JSON (RLE, exact)")
    assert name == "discs_coco.json"
    (tmp_path / name).write_bytes(content)
    coco = COCO(str(tmp_path / name))
    assert_as_drawn([coco.annToMask(entry).astype(bool) for entry in coco.anns.values()])
    assert [entry["name"] for entry in coco.cats.values()] == ["disc"]


def test_a_class_map_becomes_a_panoptic_map(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    photo = write_scene(tmp_path)
    left, right, third = true_masks()
    numbers = np.select([left | right, third], [3, 1], 0).astype(np.uint8)
    numbers[:20], numbers[140:] = 7, 255
    Image.fromarray(numbers).save(tmp_path / "map.png")
    page.locator("#mask-kind input").click()
    page.get_by_role("option", name="class maps, own classes").click()
    page.locator("#own-classes textarea").fill("1: ball\n3: disc\n7: sky")
    page.locator("#stuff-classes").get_by_role("textbox").fill("sky")
    open_files(page, [photo], [tmp_path / "map.png"], [write_edges(photo)])
    expect(said(page)).to_contain_text("discs.png: 240 x 160, 3 instances.")
    expect(page.locator("#mask-editor .instances")).to_contain_text("sky (stuff)")
    button(page, "Preview").click()
    proposal = page.locator("#mask-editor .proposals li")
    expect(proposal).to_have_count(1)
    expect(proposal).to_contain_text("into 2 parts")
    button(page, "Accept all (1)").click()
    expect(rows(page)).to_have_count(4)
    all_saved(page)
    name, content = export(page, "This photo", "Panoptic PNG + JSON")
    assert name == "discs_panoptic.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        panoptic = json.loads(packed.read("discs_panoptic.json"))
    (annotation,) = panoptic["annotations"]
    assert sorted(one["category_id"] for one in annotation["segments_info"]) == [1, 3, 3, 7]
    assert [one["name"] for one in panoptic["categories"] if not one["isthing"]] == ["sky"]


def test_a_drawn_line_splits(board: Board) -> None:
    board.click(70, 80)
    board.page.keyboard.press("l")
    board.drag((MIDDLE, 20), (MIDDLE, 140))
    expect(said(board.page)).to_contain_text("Split by a line: 1 became 2 parts")
    parts = areas(board.page)
    expect(said(board.page)).to_contain_text(f"the smallest of {min(parts[1], parts[3]):,} pixels")
    truth = [int(mask.sum()) for mask in true_masks()]
    assert sum(parts.values()) == sum(int(mask.sum()) for mask in merged_masks())
    assert sorted(parts)[:2] == [1, 2]
    assert abs(parts[1] - truth[0]) < 100
    assert abs(parts[3] - truth[1]) < 100


def test_a_part_that_is_too_small_is_said(board: Board) -> None:
    before = areas(board.page)
    board.click(70, 80)
    board.page.keyboard.press("l")
    board.drag((39.5, 40), (39.5, 120))  # leaves one column of the disc on its left
    expect(said(board.page)).to_contain_text("The line cuts off fewer than 16 pixels")
    assert areas(board.page) == before


def test_the_brush_takes_from_others_only_when_asked(board: Board) -> None:
    page, before = board.page, areas(board.page)
    board.click(210, 90)
    page.keyboard.press("b")
    board.drag((110, 80), (140, 80))
    expect(said(page)).to_contain_text("the brush paints on background")
    assert areas(page) == before
    mode = page.get_by_label("What the brush paints over")
    mode.select_option("all")
    board.drag((110, 80), (140, 80))
    lost = before[1] - areas(page)[1]
    assert lost > 500
    expect(said(page)).to_contain_text(f"Taken: {lost:,} from 1 disc.")
    mode.select_option("background")


def test_a_draft_leaves_the_canvas_free(board: Board) -> None:
    page, draft = board.page, board.page.locator("#mask-editor .draft")
    page.keyboard.press("p")
    free = board.box()
    for corner in ((20, 10), (60, 10), (120, 158)):
        board.click(*corner)
    expect(draft).to_contain_text("3 corners")
    canvas, below = board.canvas.bounding_box(), draft.bounding_box()
    assert canvas == free
    assert below is not None
    assert below["y"] >= free["y"] + free["height"]
    page.keyboard.press("Backspace")
    expect(draft).to_contain_text("2 corners")
    page.keyboard.press("Escape")
    expect(draft).to_be_hidden()


PRESS = """(canvas, [code, key, ctrlKey]) => canvas.dispatchEvent(
  new KeyboardEvent("keydown", { code, key, ctrlKey, bubbles: true, cancelable: true }))"""


def test_keys_follow_the_sign_on_them(board: Board) -> None:
    page, before = board.page, areas(board.page)
    for undo, redo in ((("KeyY", "z"), ("KeyZ", "y")), (("KeyW", "z"), ("KeyY", "y"))):
        board.click(210, 90)  # QWERTZ, then AZERTY
        page.keyboard.press("Backspace")
        assert areas(page) == {1: before[1]}
        board.canvas.evaluate(PRESS, [*undo, True])
        assert areas(page) == before
        board.canvas.evaluate(PRESS, [*redo, True])
        assert areas(page) == {1: before[1]}
        board.canvas.evaluate(PRESS, [*undo, True])
    page.keyboard.press("Control+a")
    expect(said(page)).to_contain_text("Selected: 1 disc, 2 disc")
    board.canvas.evaluate(PRESS, ["Semicolon", "m", False])
    expect(said(page)).to_contain_text("Merged 1, 2 into 1")


def test_plus_and_minus_zoom(board: Board) -> None:
    for key, found in (("+", "1 disc"), ("-", "2 disc")):
        for _ in range(4):
            board.page.keyboard.press(key)
        board.click(200, 80)  # where that lies while the whole photo is shown
        expect(said(board.page)).to_contain_text(f"Selected: {found}")


def test_edges_split_after_a_look_at_the_parts(board: Board) -> None:
    board.click(70, 80)
    board.page.keyboard.press("x")
    expect(said(board.page)).to_contain_text("2 parts: X or Apply makes them")
    expect(rows(board.page)).to_have_count(2)
    button(board.page, "Apply").click()
    expect(said(board.page)).to_contain_text("Split along edges: 1 became 2 parts")
    expect(rows(board.page)).to_have_count(3)


def test_a_box_and_clicks_make_a_mask_and_correct_it(board: Board) -> None:
    page, draft = board.page, board.page.locator("#mask-editor .draft")
    x, y = 210, 90
    truth = int(true_masks()[2].sum())
    board.click(x, y)
    page.keyboard.press("Delete")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("i")
    board.drag((x - 30, y - 30), (x + 30, y + 30))
    expect(said(page)).to_contain_text("Enter takes it")
    expect(draft).to_contain_text("box")
    board.click(x, y)
    expect(draft).to_contain_text("box, 1 click")
    expect(said(page)).to_contain_text("Enter takes it")
    page.keyboard.press("Control+z")  # takes the click back
    expect(draft).not_to_contain_text("click")
    page.keyboard.press("Enter")
    expect(said(page)).to_contain_text("Drag or click for the next one")
    expect(rows(page)).to_have_count(2)
    made = areas(page)
    (number,) = made.keys() - {1}
    assert 0.5 * truth < made[number] < 1.5 * truth
    page.keyboard.press("Control+z")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Control+y")
    assert areas(page) == made

    page.keyboard.press("v")
    board.click(x, y)
    page.keyboard.press("i")
    board.click(x, y, "Shift")  # the tool is ready, and the selected instance is corrected
    expect(draft).to_contain_text("1 click")
    expect(said(page)).to_contain_text("Enter takes it")
    page.keyboard.press("Enter")
    expect(draft).to_be_hidden()
    assert set(areas(page)) == set(made)
    all_saved(page)


def test_seeds_divide_one_instance_or_all_that_are_selected(board: Board) -> None:
    before = areas(board.page)
    board.click(70, 80)
    board.page.keyboard.press("g")
    board.drag((60, 70), (60, 90))
    board.drag((130, 70), (130, 90))
    board.page.keyboard.press("Enter")
    expect(said(board.page)).to_contain_text("Divide by seeds")
    parts = areas(board.page)
    assert len(parts) == 3
    assert abs(parts[1] - int(true_masks()[0].sum())) < 200

    board.page.keyboard.press("v")
    for index, place in enumerate([(60, 70), (130, 70), (190, 90)]):
        board.click(*place, *["Shift"][: index > 0])
    board.page.keyboard.press("g")
    board.drag((60, 80), (130, 80))  # over both parts: one object
    board.drag((185, 90), (195, 90))
    board.page.keyboard.press("Enter")
    expect(rows(board.page)).to_have_count(2)
    joined = areas(board.page)
    # and narrow gaps between the two objects
    assert all(before[number] <= joined[number] < before[number] + 50 for number in (1, 2))


def test_two_merge_and_undo_parts_them(board: Board) -> None:
    before = areas(board.page)
    board.click(70, 80)
    board.click(190, 90, "Shift")
    button(board.page, "Merge").click()
    expect(said(board.page)).to_contain_text("Merged 1, 2 into 1")
    assert areas(board.page) == {1: sum(before.values())}
    button(board.page, "Undo").click()
    assert areas(board.page) == before


@pytest.mark.parametrize(("key", "left"), [("m", [1]), ("Delete", []), ("Control+s", [1, 2])])
def test_a_stroke_that_is_held_is_a_step_of_its_own(
    board: Board, key: str, left: list[int]
) -> None:
    page = board.page
    board.click(70, 80)
    board.click(190, 90, "Shift")
    page.keyboard.press("b")
    page.mouse.move(*board.place(20, 20))
    page.mouse.down()
    page.mouse.move(*board.place(60, 20), steps=4)
    page.keyboard.press(key)
    if key == "Control+s":
        expect(said(page)).to_have_text("All changes are saved.")
    page.mouse.move(*board.place(60, 150), steps=4)
    page.mouse.up()
    after = areas(page)
    assert sorted(after) == left
    all_saved(page)
    page.reload(wait_until="domcontentloaded")
    open_tab(page)
    expect(said(page)).to_contain_text("as you left it")
    assert areas(page) == after


def test_undo_takes_back_a_merge_and_then_the_held_stroke(board: Board) -> None:
    page, before = board.page, areas(board.page)
    board.click(70, 80)
    board.click(190, 90, "Shift")
    page.keyboard.press("b")
    page.mouse.move(*board.place(20, 20))
    page.mouse.down()
    page.mouse.move(*board.place(60, 20), steps=4)
    page.keyboard.press("m")
    page.mouse.up()
    page.keyboard.press("Control+z")
    painted = areas(page)
    assert painted[1] > before[1]
    assert painted[2] == before[2]
    page.keyboard.press("Control+z")
    assert areas(page) == before


def test_a_proposal_follows_undo_and_redo(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    board, proposal = Board(page), page.locator("#mask-editor .proposals li")
    button(page, "Preview").click()
    button(page, "Accept: split 1 into 2 parts").click()
    expect(proposal).to_contain_text("accepted")
    board.click(70, 80)
    for key in ("Control+z", "Control+y"):
        page.keyboard.press(key)
        expect(proposal.get_by_role("button", name="Reject")).to_have_count(int(key == "Control+z"))
    expect(proposal.locator(".outcome")).to_have_text("accepted")
    page.keyboard.press("b")
    board.drag((20, 20), (60, 20))
    page.keyboard.press("Control+z")
    expect(proposal.locator(".outcome")).to_have_text("accepted")

    page.keyboard.press("Control+z")
    board.drag((20, 20), (60, 20))
    expect(proposal.locator(".outcome")).to_have_text("masks changed since")
    page.keyboard.press("Control+z")
    button(page, "Accept: split 1 into 2 parts").click()
    expect(proposal.locator(".outcome")).to_have_text("accepted")
    expect(rows(page)).to_have_count(3)


def test_a_picture_opened_in_another_tab_is_not_saved_here(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    other = page.context.new_page()
    other.goto(page.url, wait_until="domcontentloaded")
    open_tab(other)
    button(other, "Resume last work").click()
    expect(said(other)).to_contain_text("as you left it")
    board, before = Board(page), areas(page)
    board.click(70, 80)
    page.keyboard.press("b")
    board.drag((20, 20), (60, 20))
    expect(page.locator("#mask-editor .badge")).to_have_text("Not saved")
    expect(said(page)).to_contain_text("Not saved. ")
    expect(said(page)).to_contain_text("another tab")
    assert ".." not in said(page).inner_text()
    calls: list[str] = []
    page.on("request", lambda request: calls.append(request.url))
    page.wait_for_timeout(2500)  # past the first two tries that a lost server gets
    assert not [url for url in calls if "component_server" in url]
    page.keyboard.press("Control+s")
    expect(said(page)).to_contain_text("another tab")
    assert areas(page)[1] > before[1]
    assert areas(other) == before


def test_a_reload_shows_the_same_picture(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    open_files(page, [write_scene(tmp_path, f"{name}.png") for name in "ab"], [], [])
    expect(said(page)).to_contain_text("a.png")
    button(page, "Next photo").click()
    expect(said(page)).to_contain_text(f"b.png: {WIDTH} x {HEIGHT}")  # it is there, not on its way
    page.reload(wait_until="domcontentloaded")
    open_tab(page)
    expect(said(page)).to_contain_text("as you left it")
    expect(page.locator("#mask-editor .place")).to_have_text("2 of 2")
    with page.expect_request(lambda request: '"method"' in (request.post_data or "")) as asked:
        button(page, "Propose masks").click()
    assert asked.value.post_data is not None
    sent = json.loads(asked.value.post_data)["event_data"]
    assert sent["picture"] == 1
    assert sent["lease"]
    assert sent["revision"] == 0


def test_work_is_added_to_named_left_linked_and_deleted(
    page: Page, browser: Browser, tmp_path: Path
) -> None:
    def open_more(photos: list[Path], masks: list[Path]) -> None:
        page.get_by_role("button", name="Open photos and masks").click()
        open_files(page, photos, masks, [])

    page.on("dialog", lambda dialog: dialog.accept("My work"))
    open_tab(page)
    photos = [write_scene(tmp_path, f"{name}.png") for name in "ab"]
    open_files(page, photos, [], [])
    expect(said(page)).to_contain_text("a.png: 240 x 160, 0 instances.")
    expect(page.locator("#refine-photos")).not_to_contain_text("b.png")
    open_more([], [write_coco(photos[0], merged_masks())])
    expect(rows(page)).to_have_count(2)
    button(page, "Undo").click()
    expect(rows(page)).to_have_count(0)
    all_saved(page)
    button(page, "Next photo").click()
    expect(said(page)).to_contain_text("b.png: 240 x 160")
    button(page, "Previous photo").click()
    expect(said(page)).to_contain_text("a.png: 240 x 160")
    button(page, "Redo").click()
    expect(rows(page)).to_have_count(2)
    all_saved(page)
    page.reload(wait_until="domcontentloaded")
    open_tab(page)
    expect(rows(page)).to_have_count(2)
    button(page, "Undo").click()
    expect(rows(page)).to_have_count(0)

    works = page.locator("#mask-editor .session")
    page.locator("#mask-editor .sessions-panel summary").click()
    expect(works).to_contain_text(["2 photos"])
    expect(works.locator("img")).to_have_count(1)
    button(page, "Rename a.png").click()
    expect(works.locator(".name")).to_have_text(["My work"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button(page, "Copy a link").click()
    expect(said(page)).to_contain_text("The link is copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    button(page, "New work").click()
    expect(said(page)).to_be_hidden()
    open_more([write_scene(tmp_path, "c.png")], [])
    expect(said(page)).to_contain_text("c.png: 240 x 160")
    expect(works.locator(".name")).to_have_text(["c.png", "My work"])

    button(page, "Continue My work").click()
    expect(said(page)).to_contain_text("as you left it")
    button(page, "Remove this photo").click()
    expect(page.locator("#mask-editor .place")).to_have_text("1 of 1")
    other = browser.new_context()
    other.set_default_timeout(PATIENCE)
    friend = other.new_page()
    friend.goto(link, wait_until="domcontentloaded")
    open_tab(friend)
    expect(friend.locator("#mask-editor .pictures .name")).to_have_text(["b.png"])
    other.close()
    button(page, "Remove the work My work").click()
    expect(works.locator(".name")).to_have_text(["c.png"])


def test_edges_of_grey_values_split_too(board: Board) -> None:
    page = board.page
    page.get_by_label("Where edges come from").select_option("gradient")
    button(page, "Find").click()
    expect(page.locator("#mask-editor .edges-said")).to_have_text("(gradient)")
    board.click(70, 80)
    for _ in range(2):
        page.keyboard.press("x")
    expect(said(page)).to_contain_text("Split along edges: 1 became 2 parts")


def test_photos_are_gone_through_and_taken_as_one_zip(page: Page, tmp_path: Path) -> None:
    left, right, third = true_masks()
    maps = {"a": [left], "b": [left, right], "c": [left, right, third]}
    photos = [write_scene(tmp_path, f"{name}.png") for name in maps]
    masks = [write_coco(photo, maps[photo.stem]) for photo in photos]
    open_tab(page)
    open_files(page, photos, masks, [])
    expect(said(page)).to_contain_text("a.png: 240 x 160, 1 instance.")
    place = page.locator("#mask-editor .place")
    expect(place).to_have_text("1 of 3")
    Board(page).click(70, 80)
    page.keyboard.press("z")  # the next picture is shown whole all the same
    button(page, "Next photo").click()
    expect(said(page)).to_contain_text("b.png: 240 x 160, 2 instances.")
    Board(page).canvas.press("d")
    expect(place).to_have_text("3 of 3")
    expect(rows(page)).to_have_count(3)
    button(page, "Previous photo").click()
    expect(said(page)).to_contain_text("b.png: 240 x 160")  # open, not "Opening b.png ..."
    Board(page).click(126, 80)
    page.keyboard.press("Delete")
    button(page, "Checked, next").click()
    expect(said(page)).to_contain_text("c.png: 240 x 160")
    states = page.locator("#mask-editor .pictures .state")
    expect(states).to_have_text(["new", "checked", "new"])

    name, content = export(page, "All photos", "Indexed PNG (one a photo)")
    assert name == "masks_indexed.zip"
    taken = label_maps(content)
    assert {Path(name).stem: len(np.unique(found)) - 1 for name, found in taken.items()} == {
        "a": 1,
        "b": 1,
        "c": 3,
    }
    _, content = export(page, "All checked photos", "Indexed PNG (one a photo)")
    ((name, checked),) = label_maps(content).items()
    assert Path(name).stem == "b"
    assert np.array_equal(checked > 0, left)


def label_maps(content: bytes) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the pictures of a zip by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {
            name: np.asarray(Image.open(io.BytesIO(packed.read(name))))
            for name in packed.namelist()
            if name.endswith(".png")
        }


def test_mask_and_edge_arrive_from_the_other_tabs(page: Page, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "red.png")
    choose(page, photo)
    segment(page)
    page.get_by_role("button", name="Send mask to Refine").click()
    expect(said(page)).to_contain_text("The mask is here, with its edge.")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#mask-editor .edges-said")).to_have_text("(DiffDIS)")

    inspect.open_tab(page)
    inspect.choose(page, photo)
    inspect.run(page)
    page.get_by_role("button", name="Send edge to Refine").click()
    expect(said(page)).to_contain_text("The edge is here.")
    expect(page.locator("#mask-editor .edges-said")).to_contain_text("EdgeKL, t = ")
    expect(page.locator("#mask-editor .place")).to_have_text("1 of 1")
    expect(rows(page)).to_have_count(1)


def test_what_does_not_fit_is_said_and_the_rest_is_opened(page: Page, tmp_path: Path) -> None:
    open_tab(page)
    page.locator("#refine-open-files").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("There is no photo yet")

    photo, broken = write_scene(tmp_path), tmp_path / "broken.png"
    broken.write_text("no picture")
    small = write_coco(tmp_path / "small.png", [np.ones((20, 30), bool)])
    edge = write_photo(tmp_path / "discs_edge.png", (30, 20))
    open_files(page, [photo, broken], [small], [edge])
    expect(said(page)).to_contain_text("discs.png: 240 x 160, 0 instances.")
    report = page.locator("#refine-report")
    expect(report).to_contain_text("1 photo opened.")
    expect(report).to_contain_text("broken.png")
    expect(report).to_contain_text("small.json is 30 x 20")
    expect(report).to_contain_text("discs_edge.png is 30 x 20")
    assert "Traceback" not in page.inner_text("body")


def test_edits_outlive_a_server_that_is_killed(page: Page, server: Server, tmp_path: Path) -> None:
    open_tab(page)
    open_scene(page, tmp_path)
    said_before = len(server.log)
    server.kill()
    try:
        board, badge = Board(page), page.locator("#mask-editor .badge")
        board.click(70, 80)
        page.keyboard.press("b")
        board.drag((10, 10), (60, 10))
        painted = areas(page)
        expect(badge).to_have_text("Not saved - retrying")
        expect(said(page)).to_contain_text("Your edits are kept here; trying again.")
    finally:
        server.start()
    board.canvas.press("Control+s")
    expect(said(page)).to_have_text("All changes are saved.")
    expect(badge).to_have_text("Saved")
    assert areas(page) == painted
    assert painted[1] > int(merged_masks()[0].sum())
    button(page, "Preview").click()
    expect(page.locator("#mask-editor .proposals li")).not_to_have_count(0)
    _, content = export(page, "This photo", "COCO JSON (RLE, exact)")
    assert len(json.loads(content)["annotations"]) == len(painted)
    page.get_by_role("button", name="Open photos and masks").click()
    open_files(page, [write_scene(tmp_path, "more.png")], [], [])
    expect(page.locator("#mask-editor .place")).to_have_text("2 of 2")
    button(page, "Previous photo").click()
    expect(said(page)).to_contain_text("discs.png: 240 x 160")

    page.reload(wait_until="domcontentloaded")
    open_tab(page)
    expect(said(page)).to_contain_text("Your work is as you left it.")
    assert areas(page) == painted
    assert "Traceback" not in server.log[said_before:]
