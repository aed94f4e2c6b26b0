"""Measure the mask editor in a real Chromium: strokes, splits, lasso, opening a picture.

    python -m benchmarks.editor_speed

Needs Playwright and Chromium. Run it on an idle machine; the bars are for two CPU cores and for the
picture of 3 megapixels. The one of 24 megapixels is told without bars.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from segdemo.assistant import AnnotationAssistant
from segdemo.editing.sessions import Session, SessionStore
from segdemo.ui.editor import mask_editor
from segdemo.ui.refine.messages import Message, picture_message
from segdemo.ui.refine.opening import add_photo
from segdemo.ui.refine.service import EditorService

SIZES = {"small": (300, 400), "3 MP": (1500, 2000), "24 MP": (4000, 6000)}  # (height, width)
ROWS, COLUMNS = 5, 8  # of instances
STROKES, MOVES = 24, 40
BARS = {  # ms
    "stroke": 16.0,
    "sent": 50.0,
    "parts": 100.0,
    "split": 100.0,
    "wire": 50.0,
    "open": 1000.0,
}
ANCHORS, AIMS = 6, 40  # places a lasso starts from, and pointer moves away from each
WORDS = {
    "stroke": "pointer moved to drawn, ms",
    "sent": "stroke ended to saved by the server, ms",
    "parts": "X pressed to parts shown, ms",
    "split": "X pressed to split drawn, ms",
    "wire": "lasso: pointer moved to path along edges, ms",
    "open": "asked for a picture to drawn, ms",
}
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 120_000  # milliseconds

# A frame callback made after the editor's own runs after it has drawn.
WATCH = """() => {
  const [element] = [...document.querySelectorAll("*")].filter((one) => one.maskEditor);
  const canvas = element.querySelector("canvas.view");
  window.editor = element.maskEditor;
  window.pressed = [];
  canvas.addEventListener("keydown", (event) => {
    if (event.code !== "KeyX") return;
    requestAnimationFrame(() => pressed.push(performance.now() - event.timeStamp));
  });
}"""
OPEN = """(way) => new Promise((done) => {
  const started = performance.now(), { length } = editor.timings.load;
  document.querySelector(`[data-do=${way}]`).click();
  const look = () => {
    if (editor.timings.load.length === length) return requestAnimationFrame(look);
    requestAnimationFrame(() => done(performance.now() - started));
  };
  look();
})"""
PLACE = """([x, y]) => {
  const { left, top } = document.querySelector("canvas.view").getBoundingClientRect();
  const { view } = editor;
  return [left + view.left + x * view.zoom, top + view.top + y * view.zoom];
}"""

Times = dict[str, list[float]]
"""Milliseconds by what was timed."""


@dataclass(frozen=True)
class Scene:
    """An ellipse in each cell of a grid, with an edge through its middle. size: (height, width)."""

    size: tuple[int, int]

    def centre(self, number: int) -> tuple[float, float]:
        """Return where instance `number` (from 0) lies, as (x, y)."""
        row, column = divmod(number, COLUMNS)
        height, width = self.size
        return (column + 0.5) * width / COLUMNS, (row + 0.5) * height / ROWS

    def labels(self) -> npt.NDArray[np.uint16]:
        """Draw the instances, numbered from 1."""
        height, width = self.size
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        labels = np.zeros(self.size, np.uint16)
        for number in range(ROWS * COLUMNS):
            x, y = self.centre(number)
            across, down = (columns - x) / width * COLUMNS, (rows - y) / height * ROWS
            labels[across**2 + down**2 < 0.46**2] = number + 1
        return labels

    def edge(self) -> npt.NDArray[np.float32]:
        """Draw a wavy edge, three pixels wide, through each column; weak ones around it."""
        height, width = self.size
        rows = np.arange(height)
        waves = np.sin(rows[:, None] / 30) + np.sin(np.arange(width) / 50)
        edge = (waves / 10 + 0.2).astype(np.float32)
        for column in range(COLUMNS):
            x = (column + 0.5 + 0.1 * np.sin(rows / height * 40)) * width / COLUMNS
            for beside in (-1, 0, 1):
                edge[rows, x.astype(int) + beside] = 1
        return edge

    def photo(self) -> Image.Image:
        """Draw a gradient with noise, which compresses about as a photo does."""
        noise = np.random.default_rng(0).integers(0, 30, self.size, np.uint8)
        slope = np.linspace(40, 200, self.size[1]).astype(np.uint8)
        return Image.fromarray(noise + slope).convert("RGB")


def fill(session: Session, folder: Path) -> None:
    """Open one picture of each size."""
    for number, (name, size) in enumerate(SIZES.items()):
        scene, file = Scene(size), folder / f"{number}.jpg"
        scene.photo().save(file, quality=90)
        picture = session.image(add_photo(session, file, f"{name}.jpg"))
        labels = scene.labels()
        picture.replace_all(labels, 1, {})
        picture.set_edges(scene.edge(), "upload", "drawn edges")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the editor alone, with the pictures; yields its address."""
    store = SessionStore(folder / "sessions")
    session = store.create()
    fill(session, folder)

    def show(event: gr.EventData) -> Message:
        return picture_message(session, int(event._data.get("picture") or 0))

    with gr.Blocks(analytics_enabled=False) as demo:
        editor = mask_editor(
            "mask-editor",
            EditorService(store, AnnotationAssistant().prompt).functions,
            {"robust": []},
            {},
            [],
            [],
            debug=True,
        )
        events: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "multiple"}
        editor.hello(show, None, editor, **events)
        editor.show(show, None, editor, **events)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        yield f"{url}#work={session.token}"
    finally:
        demo.close(verbose=False)


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where on the page a place of the picture is."""
    left, top = page.evaluate(PLACE, [x, y])
    return left, top


def paint(page: Page, scene: Scene) -> None:
    """Draw strokes from each instance into its neighbours, and wait until they are saved."""
    for number in range(STROKES):
        x, y = place(page, *scene.centre(number))
        page.keyboard.press("v")
        page.mouse.click(x, y)
        page.keyboard.press("b")
        page.mouse.down()
        for move in range(MOVES):
            page.mouse.move(x + 2 * move, y + 12 * np.sin(move / 5))
        page.mouse.up()
        page.wait_for_function("!editor.saver.running")


def split(page: Page, scene: Scene) -> None:
    """Split instances that were not painted along their edges."""
    page.keyboard.press("v")
    for number in range(STROKES + 2, ROWS * COLUMNS):
        page.mouse.click(*place(page, *scene.centre(number)))
        for _ in range(2):
            pressed = page.evaluate("pressed.length")
            page.keyboard.press("x")
            page.wait_for_function("(n) => pressed.length > n", arg=pressed)
        page.wait_for_function("!editor.saver.running")


def trace(page: Page, scene: Scene) -> None:
    """Set the lasso's first node on an edge, and move away from it to the far corner."""
    page.keyboard.press("t")
    height, width = scene.size
    for number in range(ANCHORS):
        x, y = scene.centre(number * (COLUMNS + 1) % (ROWS * COLUMNS))
        page.mouse.click(*place(page, x, y))
        far = (width - x if x < width / 2 else -x, height - y if y < height / 2 else -y)
        for aim in range(1, AIMS + 1):
            share = 0.97 * aim / AIMS
            page.mouse.move(*place(page, x + share * far[0], y + share * far[1]))
            page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        page.keyboard.press("Escape")
    page.keyboard.press("v")


def measure(page: Page, scene: Scene) -> Times:
    """Open the next picture three times, paint and split; returns what was timed."""
    ways = ("next", "previous", "next", "previous", "next")
    times: Times = {"open": [page.evaluate(OPEN, way) for way in ways][::2]}
    page.evaluate("for (const list of Object.values(editor.timings)) list.length = 0")
    paint(page, scene)
    times |= page.evaluate("({ stroke: editor.timings.stroke, sent: editor.timings.sent })")
    before = page.evaluate("pressed.length = 0, editor.state.image.map.ids().length")
    split(page, scene)
    presses = page.evaluate("pressed")
    made = page.evaluate("editor.state.image.map.ids().length") - before
    if made < len(presses) // 2:
        raise RuntimeError(f"{made} splits were made by {len(presses)} presses of X.")
    page.keyboard.press("Escape")
    trace(page, scene)
    times |= page.evaluate("({ wire: editor.timings.wire })")
    return times | {"parts": presses[::2], "split": presses[1::2]}


def report(name: str, times: Times, barred: bool) -> bool:
    """Print a picture's table; return whether every median and 95th percentile is in its bar."""
    print(f"{name:42}{'n':>6}{'p50':>9}{'p95':>9}{'bar':>8}")
    kept = True
    for kind, words in WORDS.items():
        median, late = np.percentile(times[kind], [50, 95])
        over = barred and late > BARS[kind]
        kept &= not over
        bar = f"{BARS[kind]:8.0f}" if barred else ""
        count = len(times[kind])
        print(f"{words:42}{count:6}{median:9.1f}{late:9.1f}{bar}{'  over' if over else ''}")
    return kept


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when every figure is within its bar, else 1."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    kept = True
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE)
            page.goto(url, wait_until="domcontentloaded")
            page.locator("canvas.view").wait_for()
            page.evaluate(WATCH)
            for name in list(SIZES)[1:]:
                kept &= report(name, measure(page, Scene(SIZES[name])), barred=name == "3 MP")
            browser.close()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
