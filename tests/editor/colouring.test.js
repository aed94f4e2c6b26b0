// Parts that touch never share a colour, and few colours suffice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { colourApart, neighbours } from "../../segdemo/ui/editor/core/colouring.js";
import { mapped, randomNumbers } from "./scenes.js";

test("neighbours differ in colour on a map of many cells", () => {
  const random = randomNumbers(5), width = 90, height = 70;
  const centres = Array.from({ length: 60 }, () => [random() * width, random() * height]);
  const labels = mapped(width, height, (x, y) => {
    const away = centres.map(([cx, cy]) => Math.hypot(x - cx, y - cy));
    return away.indexOf(Math.min(...away)) % 61;
  });
  const graph = neighbours(labels, width, [0, 0, width, height]);
  const colours = colourApart([...new Set(labels)].filter(Boolean), graph, 7);
  let borders = 0;
  labels.forEach((id, p) => {
    for (const other of [labels[p + 1], labels[p + width]]) {
      if ((p + 1) % width === 0 || !id || !other || id === other) continue;
      borders++;
      assert.notEqual(colours.get(id), colours.get(other));
    }
  });
  assert.ok(borders > 100);
  assert.ok(Math.max(...colours.values()) < 8);
});

test("parts apart take colours in turn, and a gap of two pixels still makes neighbours", () => {
  const labels = Uint16Array.from([1, 0, 0, 2, 0, 0, 0, 0, 0, 3]);
  const graph = neighbours(labels, 10, [0, 0, 10, 1]);
  assert.deepEqual([...graph.get(1)], [2]);
  assert.equal(graph.has(3), false);
  assert.deepEqual([...colourApart([1, 2, 3], graph, 7).values()], [0, 1, 2]);
});

test("more neighbours than colours get more colours", () => {
  const all = [1, 2, 3, 4], graph = new Map(all.map((id) =>
    [id, new Set(all.filter((other) => other !== id))]));
  assert.equal(new Set(colourApart(all, graph, 2).values()).size, 4);
});
