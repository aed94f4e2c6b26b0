// Label maps to edit, and what a slow look at every pixel says of them.
import assert from "node:assert/strict";
import { EditedImage } from "../../segdemo/ui/editor/core/edited_image.js";

// Numbers in [0, 1) that a seed repeats (mulberry32).
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function mapped(width, height, idAt) {
  const labels = new Uint16Array(width * height);
  for (let p = 0; p < labels.length; p++) labels[p] = idAt(p % width, Math.floor(p / width));
  return labels;
}

// Rows of letters: "." is background, a digit an id.
export function drawn(rows, records) {
  const labels = mapped(rows[0].length, rows.length, (x, y) => Number(rows[y][x].replace(".", "0")));
  return new EditedImage(rows[0].length, rows.length, labels, records);
}

export function rowsOf({ map: { width, height, labels } }) {
  return Array.from({ length: height }, (_, y) =>
    Array.from(labels.subarray(y * width, (y + 1) * width), (id) => id || ".").join(""));
}

// Discs of ids 1, 2, ... at random places, the later over the earlier.
export function discs(seed, width = 150, height = 120, count = 6) {
  const random = randomNumbers(seed), all = [];
  for (let id = 1; id <= count; id++) {
    all.push([random() * width, random() * height, 15 + random() * 25]);
  }
  const labels = mapped(width, height, (x, y) =>
    1 + all.findLastIndex(([cx, cy, radius]) => Math.hypot(x - cx, y - cy) <= radius));
  return new EditedImage(width, height, labels);
}

// Areas and boxes of every id must agree with the pixels after any edit.
export function checkCounts({ map }) {
  const areas = new Map(), boxes = new Map();
  map.labels.forEach((id, p) => {
    if (!id) return;
    const x = p % map.width, y = Math.floor(p / map.width);
    areas.set(id, 1 + (areas.get(id) || 0));
    const [left, top, right, bottom] = boxes.get(id) || [x, y, 0, 0];
    boxes.set(id, [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1),
      Math.max(bottom, y + 1)]);
  });
  const ids = [...areas.keys()].sort((a, b) => a - b);
  assert.deepEqual(map.ids(), ids);
  for (const id of ids) {
    assert.equal(map.areas[id], areas.get(id));
    assert.deepEqual(map.box(id), boxes.get(id));
  }
}
