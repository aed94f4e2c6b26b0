// A click fills what edges enclose, half of the edges included.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cellAt } from "../../segdemo/ui/editor/core/filling.js";
import { brushRules } from "../../segdemo/ui/editor/core/painting.js";
import { drawn, randomNumbers } from "./scenes.js";

const rows = (strengths) => Uint8Array.from(strengths.join("").replaceAll(".", "0"), (digit) => digit * 28);
const EMPTY = Array(7).fill("..........");
const WALLS = ["..........", ".8888888..", ".8.....8..", ".8..8..8..", ".8.....8..", ".8888888..", ".........."];

function filled(labels, walls, place, most = 60, may = brushRules("background", [], [])) {
  const { map } = drawn(labels), cell = cellAt(map, rows(walls), 100, place, may, most);
  if (cell.reason) return cell.reason;
  const [left, top, right] = cell.box, picture = Array.from({ length: 7 }, () => Array(10).fill("."));
  cell.values.forEach((inside, q) => {
    if (inside) picture[top + Math.floor(q / (right - left))][left + (q % (right - left))] = "1";
  });
  return picture.map((row) => row.join(""));
}

test("a closed cell is filled up to the middle of its edges, round what lies inside", () => {
  assert.deepEqual(filled(EMPTY, WALLS, [2.5, 2.5]), ["..........", "..11111...", ".1111111..",
    ".1111111..", ".1111111..", "..11111...", ".........."]);
});

test("an open cell, an edge and another's pixels are told apart", () => {
  const open = WALLS.with(3, ".8..8.....");
  assert.equal(filled(EMPTY, open, [2.5, 2.5], 40), "open");
  assert.equal(filled(EMPTY, WALLS, [1.5, 2.5]), "edge");
  assert.equal(filled(EMPTY.with(2, "..3......."), WALLS, [2.5, 2.5]), "kept");
});

test("what other instances have stays theirs, and every free pixel inside is reached", () => {
  const random = randomNumbers(8);
  for (let turn = 0; turn < 40; turn++) {
    const walls = WALLS.map((row) => row.replaceAll(".", () => (random() < 0.3 ? "9" : "1")));
    const labels = EMPTY.map((row) => row.replaceAll(".", () => (random() < 0.2 ? "2" : ".")));
    const found = filled(labels, walls, [3.5, 2.5], 99);
    if (typeof found === "string") continue;
    const edges = rows(walls), reached = new Set([23]), todo = [23]; // one pixel after the other
    while (todo.length) {
      const p = todo.pop(), x = p % 10;
      for (const q of [x > 0 && p - 1, x < 9 && p + 1, p >= 10 && p - 10, p < 60 && p + 10]) {
        if (q === false || reached.has(q) || edges[q] >= 100 || labels.join("")[q] !== ".") continue;
        reached.add(q);
        todo.push(q);
      }
    }
    [...found.join("")].forEach((mark, p) => {
      if (labels.join("")[p] !== ".") assert.equal(mark, ".");
      else if (edges[p] < 100) assert.equal(mark === "1", reached.has(p));
    });
  }
});
