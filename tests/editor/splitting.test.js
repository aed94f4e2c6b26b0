// Splits: the largest part keeps the id, small parts go to a neighbour, no pixel changes hands.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  edgeBarrier, lineBarrier, partsOf, piecesOf, smallestEdgePart,
} from "../../segdemo/ui/editor/core/splitting.js";
import { checkCounts, discs, drawn, rowsOf } from "./scenes.js";

function split(image, id, cut) {
  const box = image.map.box(id), parts = cut(image.map, id, box);
  if (parts.count === 1) return [];
  return image.split("Split", [[id, parts]]).made;
}

const byLine = (points, smallest) => (map, id, box) =>
  partsOf(map, id, box, lineBarrier(points, box), smallest);

test("a line splits an instance; its own pixels go to the nearest part", () => {
  const image = drawn([
    "..........",
    ".33333333.",
    ".33333333.",
    "55........",
  ], { 3: { class: 4 } });
  assert.deepEqual(split(image, 3, byLine([[6.5, -2], [6.5, 9]], 2)), [6]);
  assert.deepEqual(rowsOf(image), [
    "..........",
    ".33333366.",
    ".33333366.",
    "55........",
  ]);
  assert.equal(image.record(6).class, 4);
});

test("a line that crosses twice gives three parts, numbered by their size", () => {
  const image = drawn([
    "111111111111",
    "111111111111",
  ]);
  split(image, 1, byLine([[3.5, -1], [3.5, 5], [9.5, 5], [9.5, -1]], 2));
  assert.deepEqual(rowsOf(image), ["222111111133", "222111111133"]);
});

test("parts of fewer pixels than the smallest are not made, but counted", () => {
  const image = drawn(["11111111..1", "11111111..."]), before = rowsOf(image);
  const cut = (points, smallest) => byLine(points, smallest)(image.map, 1, image.map.box(1));
  assert.deepEqual(split(image, 1, byLine([[2.5, -1], [2.5, 5]], 5)), []);
  assert.deepEqual(split(image, 1, byLine([[2.5, 0], [2.5, 0.5]], 1)), []); // not through
  assert.deepEqual(rowsOf(image), before);
  assert.equal(cut([[2.5, -1], [2.5, 5]], 5).tiny, 1); // the loose pixel is not the line's doing
  assert.equal(cut([[2.5, 0], [2.5, 0.5]], 1).tiny, 0);
  const { count, tiny } = cut([[1.5, -1], [1.5, 5], [4.5, 5], [4.5, -1]], 4);
  assert.deepEqual([count, tiny], [2, 1]);
});

test("a split leaves pieces together that the line does not touch", () => {
  const image = drawn([
    "1111111..11",
    "1111111..11",
  ]);
  assert.deepEqual(split(image, 1, byLine([[3.5, -1], [3.5, 5]], 2)), [2]);
  assert.deepEqual(rowsOf(image), ["1111222..11", "1111222..11"]);
});

test("edges split where they are strong enough", () => {
  const image = drawn(["11111111", "11111111"]);
  const edges = Uint8Array.from([0, 0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0]);
  const byEdges = (threshold) => (map, id, box) =>
    partsOf(map, id, box, edgeBarrier(edges, 8, threshold, box), 2);
  assert.deepEqual(split(image, 1, byEdges(100)), []);
  assert.deepEqual(split(image, 1, byEdges(99)), [2]);
  assert.deepEqual(rowsOf(image), ["11111122", "11111122"]);
});

test("pieces that do not touch become instances; a small one joins the nearest", () => {
  const image = drawn([
    "1111.......11",
    "1111.....1.11",
    "1111.......11",
    ".............",
    "222..........",
  ]);
  assert.equal(piecesOf(image.map, 1, image.map.box(1), 2).tiny, 1);
  assert.deepEqual(split(image, 1, (map, id, box) => piecesOf(map, id, box, 2)), [3]);
  assert.deepEqual(rowsOf(image), [
    "1111.......33",
    "1111.....3.33",
    "1111.......33",
    ".............",
    "222..........",
  ]);
  assert.deepEqual(
    piecesOf(image.map, 2, image.map.box(2), 2),
    { box: [0, 4, 3, 5], grid: null, count: 1, tiny: 0 },
  );
});

test("random lines keep every pixel of the instance and touch no other", () => {
  for (let seed = 0; seed < 6; seed++) {
    const image = discs(seed), before = image.map.labels.slice();
    for (const id of [1, 2, 3].filter((one) => image.map.areas[one])) {
      const [left, top, right, bottom] = image.map.box(id), middle = (left + right) / 2;
      const own = image.map.areas[id], made = split(image, id,
        byLine([[middle - 30, top - 3], [middle, (top + bottom) / 2], [middle + 9, bottom + 3]]));
      const parts = [id, ...made].map((one) => image.map.areas[one]);
      assert.equal(parts.reduce((sum, area) => sum + area), own);
      assert.ok(parts.every((area) => area >= Math.min(own, 16) && area <= parts[0] + own / 2));
    }
    image.map.labels.forEach((id, p) => {
      if (before[p] > 3 || !before[p]) assert.equal(id, before[p]);
    });
    checkCounts(image);
  }
});

test("the smallest part that edges make grows with the image", () => {
  assert.deepEqual([smallestEdgePart(640, 480), smallestEdgePart(6000, 4000)], [16, 480]);
});
