// The live wire: the cheapest path, against a plain Dijkstra, and along edges far apart.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveWire, gradientOf } from "../../segdemo/ui/editor/core/live_wire.js";
import { Outline } from "../../segdemo/ui/editor/core/outline.js";
import { randomNumbers } from "./scenes.js";

const COST = (value) => Math.round(1 + 29 * (1 - Math.min(1, value / 255)) ** 2);

// Costs of the cheapest ways by relaxing every pixel until nothing changes (Bellman and Ford).
function cheapest(edges, width, height, [startX, startY]) {
  const far = new Float64Array(width * height).fill(Infinity);
  far[startY * width + startX] = 0;
  for (let changed = true; changed;) {
    changed = false;
    for (let p = 0; p < far.length; p++) {
      const x = p % width, y = (p - x) / width;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          if ((!dx && !dy) || x + dx < 0 || y + dy < 0 || x + dx >= width || y + dy >= height) continue;
          const way = far[p + dy * width + dx] + (dx && dy ? 7 : 5) * COST(edges[p]);
          if (way < far[p]) [far[p], changed] = [way, true];
        }
      }
    }
  }
  return far;
}

test("a near path costs what the cheapest one does, and its pixels touch", () => {
  const random = randomNumbers(3), width = 40, height = 30;
  const edges = Uint8Array.from({ length: width * height }, () => (random() < 0.3 ? 255 : 200 * random()));
  const far = cheapest(edges, width, height, [4, 25]), wire = new LiveWire(edges, width, height);
  for (const [x, y] of [[35, 3], [4, 2], [20, 29], [5, 25], [4, 25]]) {
    const path = wire.path([4.2, 25.9], [x + 0.5, y + 0.5]);
    assert.deepEqual([path[0], path.at(-1)], [[4.5, 25.5], [x + 0.5, y + 0.5]]);
    let cost = 0;
    path.slice(1).forEach(([toX, toY], i) => {
      const [dx, dy] = [toX - path[i][0], toY - path[i][1]].map(Math.abs);
      assert.equal(Math.max(dx, dy), 1);
      cost += (dx && dy ? 7 : 5) * COST(edges[Math.floor(toY) * width + Math.floor(toX)]);
    });
    assert.equal(cost, far[y * width + x]);
  }
});

test("a far path follows a thin wavy edge to the pixel", () => {
  const width = 1200, height = 500, edges = new Uint8Array(width * height);
  const heightAt = (x) => Math.round(250 + 90 * Math.sin(x / 80));
  for (let x = 0; x < width; x++) {
    for (let y = Math.min(heightAt(x), heightAt(x + 1)); y <= Math.max(heightAt(x), heightAt(x + 1)); y++) {
      edges[y * width + x] = 255;
    }
  }
  const path = new LiveWire(edges, width, height).path([10, heightAt(10)], [1100, heightAt(1100)]);
  assert.equal(path.length > 1090, true);
  const off = path.filter(([x, y]) => !edges[Math.floor(y) * width + Math.floor(x)]);
  assert.equal(off.length, 0);
});

test("places outside the image are taken at its border", () => {
  const wire = new LiveWire(new Uint8Array(50 * 40), 50, 40);
  assert.deepEqual(wire.path([-9, 10], [70, 10]).at(-1), [49.5, 10.5]);
});

test("a photo's gradient marks its borders", () => {
  const rgba = new Uint8ClampedArray(4 * 20 * 10);
  for (let p = 0; p < 200; p++) if (p % 20 >= 8) rgba.fill(255, 4 * p, 4 * p + 4);
  const edges = gradientOf(rgba, 20, 10);
  assert.equal(edges[5 * 20 + 8], 255);
  assert.equal(edges[5 * 20 + 3], 0);
});

test("a moved node takes the runs along edges with it, and drawn ones stay", () => {
  const outline = new Outline();
  outline.add([0, 0]);
  outline.add([10, 0], [[5, 1]], true);
  outline.add([10, 10], [[11, 5]], false);
  outline.move(1, [12, 0], (from, to) => [from, to]);
  assert.deepEqual(outline.points, [[0, 0], [0, 0], [12, 0], [12, 0], [11, 5], [10, 10]]);
  assert.equal(outline.nodeAt([12, 1], 2), 1);
  assert.equal(outline.nodeAt([50, 1], 2), -1);
  outline.back();
  assert.deepEqual(outline.points, [[0, 0], [0, 0], [12, 0], [12, 0]]);
});
