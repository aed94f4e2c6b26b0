"""The mask editor's arithmetic, run in a blank page of a real browser and compared with NumPy."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page
from scipy import ndimage

from segdemo.ui.editor import CORE_SCRIPTS, HERE

pytestmark = pytest.mark.browser

Labels = npt.NDArray[np.uint16]
NAMES = (
    "LabelMap, Picture, brushRules, eraserRules, paintCapsule, paintPolygon, wallOfLine, "
    "wallOfEdges, partsOf"
)
UNDO_BYTES = 96e6

# Helps the tests: one picture, whose whole state can be read back.
BEGIN = """([source, names]) => {
  Object.assign(window, new Function(source + "; return { " + names + " };")());
  window.open = (rows, records) => {
    const labels = Uint16Array.from(rows.flat());
    window.picture = new Picture(rows[0].length, rows.length, labels, records || {});
  };
  window.told = () => {
    const { map } = picture, ids = map.ids(), bytes = new Uint8Array(map.labels.buffer);
    const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    return { labels: btoa(letters), ids, areas: ids.map((id) => map.areas[id]),
      boxes: ids.map((id) => map.box(id)) };
  };
}"""


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    source = "\n".join((HERE / "core" / f"{name}.js").read_text() for name in CORE_SCRIPTS)
    page.evaluate(BEGIN, [source, NAMES])
    yield page
    context.close()


def start(page: Page, labels: Labels, records: dict[str, Any] | None = None) -> None:
    page.evaluate("([rows, records]) => open(rows, records)", [labels.tolist(), records])


def told(page: Page, shape: tuple[int, ...]) -> Labels:
    """Return the label map, once areas and boxes are found to agree with it."""
    state = page.evaluate("told()")
    labels = np.frombuffer(base64.b64decode(state["labels"]), np.uint16).reshape(shape)
    present = np.unique(labels[labels > 0])
    assert state["ids"] == present.tolist()
    assert state["areas"] == [int((labels == number).sum()) for number in present]
    for number, box in zip(present, state["boxes"], strict=True):
        rows, columns = np.nonzero(labels == number)
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return labels


def blobs(seed: int, shape: tuple[int, int] = (150, 200), count: int = 6) -> Labels:
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((count, *shape)), (0, 9, 9))
    return np.where(noise.max(0) > 0.02, noise.argmax(0) + 1, 0).astype(np.uint16)


def capsule(shape: tuple[int, int], a: list[float], b: list[float], radius: float) -> npt.NDArray:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    along = np.subtract(b, a)
    length = along @ along
    share = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / length if length else 0 * x
    share = np.clip(share, 0, 1)
    return np.hypot(x - a[0] - share * along[0], y - a[1] - share * along[1]) <= radius


PAINT = """([a, b, radius, id, mode, selected, locked]) => {
  const may = mode === "erase" ? eraserRules(selected, locked) : brushRules(mode, selected, locked);
  const paint = () => paintCapsule(picture.map, a, b, radius, id, may);
  return picture.change("Brush", paint) !== null;
}"""


@pytest.mark.parametrize("radius", [0.8, 3.3, 17.9, 60.0])
def test_a_stroke_covers_the_pixels_that_are_near_enough(blank: Page, radius: float) -> None:
    rng = np.random.default_rng(int(radius))
    labels = np.zeros((150, 200), np.uint16)
    for _ in range(6):
        a, b = (rng.uniform((-30, -30), (230, 180)).tolist() for _ in range(2))
        b = a if rng.uniform() < 0.3 else b
        start(blank, labels)
        blank.evaluate(PAINT, [a, b, radius, 3, "all", [3], []])
        assert np.array_equal(told(blank, labels.shape) == 3, capsule(labels.shape, a, b, radius))


@pytest.mark.parametrize(
    ("mode", "selected", "may"),
    [
        ("all", [2], lambda labels: labels != 4),
        ("background", [2], lambda labels: labels == 0),
        ("inside", [9, 3, 4], lambda labels: labels == 3),
        ("erase", [2, 4], lambda labels: labels == 2),
        ("erase", [], lambda labels: labels != 4),
    ],
)
def test_the_brush_keeps_to_its_mode_and_to_locks(
    blank: Page, mode: str, selected: list[int], may: Any
) -> None:
    labels = blobs(1)
    start(blank, labels)
    painted = 0 if mode == "erase" else selected[0]
    a, b = [20.3, 30.2], [170.1, 110.7]
    blank.evaluate(PAINT, [a, b, 30, painted, mode, selected, [4]])
    there = capsule(labels.shape, a, b, 30) & may(labels)
    assert np.array_equal(told(blank, labels.shape), np.where(there, painted, labels))


def test_a_polygon_is_filled_by_the_even_odd_rule(blank: Page) -> None:
    rng = np.random.default_rng(5)
    corners = rng.uniform((-20, -20), (220, 170), (9, 2))
    y, x = np.mgrid[:150, :200] + 0.5
    inside = np.zeros(y.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
        crosses = (ay <= y) != (by <= y)
        inside ^= crosses & (x < ax + (bx - ax) * (y - ay) / (by - ay))
    start(blank, np.zeros(y.shape, np.uint16))
    blank.evaluate(
        """(points) => picture.change("Polygon",
          () => paintPolygon(picture.map, points, 5, brushRules("all", [], [])))""",
        corners.tolist(),
    )
    assert np.array_equal(told(blank, inside.shape) == 5, inside)


def nearest_parts(parts: npt.NDArray[np.int64], undecided: npt.NDArray) -> npt.NDArray[np.int64]:
    """Spread part numbers over undecided pixels; the lowest wins where two arrive together."""
    parts = parts.copy()
    while True:
        near = np.pad(np.where(parts > 0, parts, 65535), 1, constant_values=65535)
        sides = (near[:-2, 1:-1], near[2:, 1:-1], near[1:-1, :-2], near[1:-1, 2:])
        least = np.minimum.reduce(sides)
        reached = undecided & (parts == 0) & (least < 65535)
        if not reached.any():
            return parts
        parts[reached] = least[reached]


def split_by(labels: Labels, number: int, wall: npt.NDArray, smallest: int) -> Labels:
    """Return what a split makes of a label map: the largest part of each piece keeps its number."""
    own = labels == number
    whole, _ = ndimage.label(own)
    pieces, count = ndimage.label(own & ~wall)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    large = [piece for piece in range(1, count + 1) if areas[piece] >= smallest]
    families: dict[int, list[int]] = {}
    for piece in sorted(large, key=lambda piece: -areas[piece]):
        families.setdefault(int(whole[pieces == piece][0]), []).append(piece)
    names = np.zeros(count + 1, np.int64)
    last = 1
    for family in families.values():
        names[family[0]] = 1
        for piece in family[1:]:
            last += 1
            names[piece] = last
    parts = nearest_parts(names[pieces] * own, own)
    new = own & (parts > 1)
    return np.where(new, labels.max() + parts - 1, labels).astype(np.uint16)


SPLIT_BY_LINE = """([id, points]) => {
  const box = picture.map.box(id), wall = wallOfLine(points, box);
  const parts = partsOf(picture.map, id, box, wall, 8);
  if (parts) picture.split("Split", [[id, parts]]);
  const cells = [];
  wall.forEach((one, p) => {
    const across = box[2] - box[0];
    if (one) cells.push([box[1] + Math.floor(p / across), box[0] + (p % across)]);
  });
  return cells;
}"""


def test_a_line_splits_an_instance(blank: Page) -> None:
    labels = blobs(2)
    for number in (1, 2, 3):
        rows, columns = np.nonzero(labels == number)
        middle = [columns.mean(), rows.mean()]
        line = [[middle[0] - 150, middle[1] - 40], middle, [middle[0] + 150, middle[1] - 13.5]]
        start(blank, labels)
        cells = blank.evaluate(SPLIT_BY_LINE, [number, line])
        wall = np.zeros(labels.shape, bool)
        wall[tuple(np.array(cells).T)] = True
        _, lines = ndimage.label(wall, np.ones((3, 3)))
        assert lines == 1
        expected = split_by(labels, number, wall, 8)
        assert expected.max() > labels.max()
        assert np.array_equal(told(blank, labels.shape), expected)


def test_a_line_that_does_not_cut_through_changes_nothing(blank: Page) -> None:
    labels = np.zeros((40, 40), np.uint16)
    labels[5:35, 5:35] = 7
    start(blank, labels)
    blank.evaluate(SPLIT_BY_LINE, [7, [[0, 20], [25, 20]]])
    assert np.array_equal(told(blank, labels.shape), labels)


SPLIT_BY_EDGES = """([id, edges, threshold, smallest]) => {
  const { map } = picture, box = map.box(id);
  const wall = wallOfEdges(Uint8Array.from(edges.flat()), map.width, threshold, box);
  const parts = partsOf(map, id, box, wall, smallest);
  if (parts) picture.split("Split", [[id, parts]]);
}"""


@pytest.mark.parametrize("seed", range(4))
def test_edges_split_an_instance(blank: Page, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = blobs(seed, count=3)
    noise = ndimage.gaussian_filter(rng.standard_normal(labels.shape), 4)
    edges = np.clip(255 - np.abs(noise) / noise.std() * 400, 0, 255).astype(np.uint8)
    split = labels.copy()
    start(blank, labels)
    for number in (1, 2, 3):
        split = split_by(split, number, edges >= 128, 30)
        blank.evaluate(SPLIT_BY_EDGES, [number, edges.tolist(), 128, 30])
    assert split.max() > 4
    assert np.array_equal(told(blank, labels.shape), split)


def test_parts_keep_the_class_of_their_instance(blank: Page) -> None:
    labels = np.zeros((20, 40), np.uint16)
    labels[5:15, 5:35] = 7
    start(blank, labels, {"7": {"class": 4, "hidden": False, "locked": False}})
    blank.evaluate(SPLIT_BY_LINE, [7, [[20, 0], [20, 19]]])
    records = blank.evaluate("picture.map.ids().map((id) => [id, picture.record(id).class])")
    assert records == [[7, 4], [8, 4]]


def test_instances_merge_and_go(blank: Page) -> None:
    labels = blobs(3)
    start(blank, labels)
    blank.evaluate("picture.merge([5, 2, 3])")
    merged = np.where(np.isin(labels, (2, 3)), 5, labels)
    assert np.array_equal(told(blank, labels.shape), merged)
    blank.evaluate("picture.remove([5, 1])")
    assert np.array_equal(told(blank, labels.shape), np.where(np.isin(merged, (5, 1)), 0, merged))


EDIT = {
    "paint": PAINT,
    "merge": "(ids) => picture.merge(ids)",
    "remove": "(ids) => picture.remove(ids)",
    "split": SPLIT_BY_LINE,
    "take": """([box, values]) => picture.take("RIP", box, Uint16Array.from(values), {})""",
}


def random_edit(page: Page, rng: np.random.Generator, labels: Labels) -> None:
    kind = rng.choice(["paint", "paint", "paint", "merge", "remove", "split", "take"])
    present = np.unique(labels[labels > 0])
    numbers = rng.permutation(present)[:2].tolist()
    points = rng.uniform((-10, -10), (labels.shape[1] + 10, labels.shape[0] + 10), (2, 2)).tolist()
    if kind == "paint" or len(numbers) < 2:
        number = int(rng.choice([0, 77, *present]))
        page.evaluate(PAINT, [*points, float(rng.uniform(1, 25)), number, "all", [], []])
    elif kind == "split":
        page.evaluate(SPLIT_BY_LINE, [numbers[0], points])
    elif kind == "take":
        x, y = (int(v) for v in rng.integers(0, 100, 2))
        values = rng.integers(0, 9, 40 * 30).tolist()
        page.evaluate(EDIT["take"], [[x, y, x + 40, y + 30], values])
    else:
        page.evaluate(EDIT[kind], numbers[:1] if kind == "remove" else numbers)


@pytest.mark.parametrize("seed", range(3))
def test_undo_and_redo_restore_every_map_exactly(blank: Page, seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [blobs(seed)]
    start(blank, maps[0])
    while len(maps) < 30:
        random_edit(blank, rng, maps[-1])
        now = told(blank, maps[0].shape)
        if not np.array_equal(now, maps[-1]):
            maps.append(now)
        assert blank.evaluate("picture.history.undo.length") == len(maps) - 1
    for before in maps[-2::-1]:
        blank.evaluate("picture.undo()")
        assert np.array_equal(told(blank, before.shape), before)
    for after in maps[1:]:
        blank.evaluate("picture.redo()")
        assert np.array_equal(told(blank, after.shape), after)


def test_a_dropped_stroke_leaves_no_trace(blank: Page) -> None:
    labels = blobs(4)
    start(blank, labels)
    blank.evaluate(
        """() => {
          picture.map.begin("Brush");
          paintCapsule(picture.map, [10, 10], [180, 140], 20, 9, brushRules("all", [], []));
          picture.map.cancel();
        }"""
    )
    assert np.array_equal(told(blank, labels.shape), labels)
    assert blank.evaluate("picture.undo()") is None


def test_a_class_can_be_taken_back(blank: Page) -> None:
    start(blank, blobs(4))
    blank.evaluate("picture.setClass([1, 2], 8)")
    assert blank.evaluate("[1, 2].map((id) => picture.record(id).class)") == [8, 8]
    blank.evaluate("picture.undo()")
    assert blank.evaluate("[1, 2].map((id) => picture.record(id).class)") == [None, None]


def test_all_numbers_in_use_is_said(blank: Page) -> None:
    start(blank, np.arange(1, 65536, dtype=np.uint16).reshape(255, 257))
    with pytest.raises(Exception, match="65535 numbers are in use"):
        blank.evaluate("picture.newId()")


# Fine noise is the worst case: it cannot be packed.
LARGE = """([width, height]) => {
  const labels = new Uint16Array(width * height);
  for (let p = 0; p < labels.length; p++) labels[p] = 1 + ((p * 2654435761) >>> 29);
  window.picture = new Picture(width, height, labels);
  const may = brushRules("all", [], []), { history, map } = picture;
  const stroke = (a, b) => picture.change("Brush", () => paintCapsule(map, a, b, 20, 99, may));
  const sizes = [stroke([100, 100], [400, 300]).bytes];
  const most = [];
  for (let turn = 0; turn < 4; turn++) {
    picture.merge([1 + turn, 5 + (turn % 3)]);
    most.push(history.bytes, history.undo.length);
  }
  return { stroke: sizes[0], bytes: history.bytes, steps: history.undo.length, most };
}"""


def test_undo_of_24_megapixels_stays_within_its_budget(blank: Page) -> None:
    told_of = blank.evaluate(LARGE, [6000, 4000])
    assert told_of["stroke"] < 1e6  # tiles that it touched, and not 48 MB
    assert told_of["bytes"] <= UNDO_BYTES
    assert told_of["steps"] >= 1
    blank.evaluate("window.picture = null")
