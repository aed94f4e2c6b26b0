// Brush and polygon cover the pixels whose centres say so, and what the rules allow.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  brushRules, clearOutside, eraserRules, paintCapsule, paintMask, paintPolygon,
} from "../../segdemo/ui/editor/core/painting.js";
import { EditedImage } from "../../segdemo/ui/editor/core/edited_image.js";
import { checkCounts, discs, drawn, mapped, randomNumbers, rowsOf } from "./scenes.js";

const CASES = JSON.parse(readFileSync(new URL("../fixtures/label_map_edits.json", import.meta.url)));
const ALL = brushRules("all", [], []);

const blank = (width, height) => new EditedImage(width, height, new Uint16Array(width * height));

function distance([x, y], [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

for (const { name, points, radius, covered } of CASES.strokes) {
  test(`the server's strokes are those of the browser: ${name}`, () => {
    const image = blank(covered[0].length, covered.length);
    image.change("Brush", () => points.forEach((point, i) =>
      paintCapsule(image.map, points[i - 1] || point, point, radius, 1, ALL)));
    const expected = covered.flatMap((row) => [...row].map((letter) => Number(letter === "#")));
    assert.deepEqual([...image.map.labels], expected);
  });
}

test("a step says what each instance has lost", () => {
  const image = drawn(["1122.33", "1122.33"]);
  const paint = (mode, from, to) => image.change("Brush", () =>
    paintCapsule(image.map, [from, 0.5], [to, 0.5], 0.5, 1, brushRules(mode, [1], [])));
  assert.deepEqual([...paint("background", 0.5, 6.5).taken], []);
  assert.deepEqual([...paint("all", 0.5, 5.5).taken], [[2, 2], [3, 1]]);
});

test("a stroke covers the pixels that are near enough", () => {
  const random = randomNumbers(1), width = 150, height = 120;
  for (const radius of [0.8, 3.3, 17.9, 60]) {
    for (let turn = 0; turn < 4; turn++) {
      const place = () => [random() * 190 - 20, random() * 160 - 20];
      const a = place(), b = turn ? place() : a, image = blank(width, height);
      image.change("Brush", () => paintCapsule(image.map, a, b, radius, 3, ALL));
      const near = mapped(width, height, (x, y) =>
        (distance([x + 0.5, y + 0.5], a, b) <= radius ? 3 : 0));
      assert.deepEqual(image.map.labels, near);
      checkCounts(image);
    }
  }
});

for (const [mode, selected, allows] of [
  ["all", [2], (id) => id !== 4],
  ["background", [2], (id) => id === 0],
  ["inside", [5, 3, 4], (id) => id === 3],
  ["erase", [2, 4], (id) => id === 2],
  ["erase", [], (id) => id !== 4],
]) {
  test(`the brush keeps to its mode and to locks: ${mode}, ${selected.length} selected`, () => {
    const image = discs(1), before = image.map.labels.slice(), locked = [4];
    const may = mode === "erase" ? eraserRules(selected, locked)
      : brushRules(mode, selected, locked);
    const id = mode === "erase" ? 0 : selected[0], a = [10.3, 20.2], b = [140.1, 100.7];
    image.change("Brush", () => paintCapsule(image.map, a, b, 30, id, may));
    const expected = mapped(150, 120, (x, y) => {
      const old = before[y * 150 + x];
      return allows(old) && distance([x + 0.5, y + 0.5], a, b) <= 30 ? id : old;
    });
    assert.deepEqual(image.map.labels, expected);
    assert.notDeepEqual(image.map.labels, before);
  });
}

test("a polygon is filled by the even-odd rule", () => {
  const random = randomNumbers(5), image = blank(150, 120);
  const corners = Array.from({ length: 9 }, () => [random() * 190 - 20, random() * 160 - 20]);
  image.change("Polygon", () => paintPolygon(image.map, corners, 5, ALL));
  const inside = mapped(150, 120, (x, y) => {
    let crossings = 0;
    corners.forEach(([ax, ay], i) => {
      const [bx, by] = corners[(i + 1) % corners.length], at = y + 0.5;
      if (ay <= at === by <= at) return;
      if (x + 0.5 < ax + ((bx - ax) * (at - ay)) / (by - ay)) crossings++;
    });
    return crossings % 2 ? 5 : 0;
  });
  assert.deepEqual(image.map.labels, inside);
});

test("a mask is painted where the rules allow, and an instance is cut to it", () => {
  const image = drawn(["1122.3", "112..."]), values = [1, 1, 1, 0, 1, 0, 0, 1];
  image.change("Correct", () => {
    clearOutside(image.map, 2, [1, 0, 5, 2], values);
    paintMask(image.map, [1, 0, 5, 2], values, 2, brushRules("background", [], []));
  });
  assert.deepEqual(rowsOf(image), ["1122.3", "11..2."]);
  checkCounts(image);
});
