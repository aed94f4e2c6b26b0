// Undo and redo restore every map exactly, within a budget of memory.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brushRules, paintCapsule } from "../../segdemo/ui/editor/core/painting.js";
import { EditedImage } from "../../segdemo/ui/editor/core/edited_image.js";
import { lineBarrier, partsOf } from "../../segdemo/ui/editor/core/splitting.js";
import { checkCounts, discs, drawn, mapped, randomNumbers, rowsOf } from "./scenes.js";

const CASES = JSON.parse(readFileSync(new URL("../fixtures/label_map_edits.json", import.meta.url)));
const ALL = brushRules("all", [], []);

function randomEdit(image, random) {
  const { map } = image, ids = map.ids(), kind = Math.floor(random() * 7);
  const id = ids[Math.floor(random() * ids.length)], other = ids.find((one) => one !== id);
  const place = () => [random() * 170 - 10, random() * 140 - 10];
  if (kind < 3 || !other) {
    const painted = [0, 77, ...ids][Math.floor(random() * (ids.length + 2))];
    image.change("Brush", () => paintCapsule(map, place(), place(), 1 + random() * 24, painted, ALL));
  } else if (kind === 3) image.merge([id, other]);
  else if (kind === 4) image.remove([id]);
  else if (kind === 5) {
    const box = map.box(id), parts = partsOf(map, id, box, lineBarrier([place(), place()], box));
    if (parts.count > 1) image.split("Split", [[id, parts]]);
  } else {
    const [x, y] = [Math.floor(random() * 100), Math.floor(random() * 80)];
    const values = mapped(40, 30, () => Math.floor(random() * 9));
    image.take("RIP", [x, y, x + 40, y + 30], values, {});
  }
}

test("undo and redo restore every map exactly", () => {
  for (let seed = 0; seed < 3; seed++) {
    const image = discs(seed), random = randomNumbers(seed), maps = [image.map.labels.slice()];
    while (maps.length < 30) {
      randomEdit(image, random);
      checkCounts(image);
      const now = image.map.labels.slice();
      if (Buffer.compare(Buffer.from(now.buffer), Buffer.from(maps.at(-1).buffer))) maps.push(now);
      assert.equal(image.history.undo.length, maps.length - 1);
    }
    for (const before of maps.slice(0, -1).reverse()) {
      image.undo();
      assert.deepEqual(image.map.labels, before);
    }
    assert.equal(image.undo(), null);
    for (const after of maps.slice(1)) {
      image.redo();
      assert.deepEqual(image.map.labels, after);
      checkCounts(image);
    }
  }
});

test("a dropped stroke leaves no trace", () => {
  const image = discs(4), before = image.map.labels.slice();
  image.map.begin("Brush");
  paintCapsule(image.map, [10, 10], [140, 110], 20, 9, ALL);
  image.map.cancel();
  assert.deepEqual(image.map.labels, before);
  checkCounts(image);
  assert.equal(image.undo(), null);
});

test("instances merge into the first, and go", () => {
  const image = drawn(["1122", "3344"]);
  image.merge([4, 1, 3]);
  assert.deepEqual(rowsOf(image), ["4422", "4444"]);
  image.remove([4]);
  assert.deepEqual(rowsOf(image), ["..22", "...."]);
  checkCounts(image);
});

test("a class can be taken back", () => {
  const image = drawn(["12"]), classes = () => [1, 2].map((id) => image.record(id).class);
  image.setClass([1, 2], 8);
  assert.deepEqual(classes(), [8, 8]);
  image.undo();
  assert.deepEqual(classes(), [null, null]);
});

for (const { name, labels, highest, ids } of CASES.new_ids) {
  test(`new numbers are those of the server: ${name}`, () => {
    const flat = Uint16Array.from(labels.flat());
    const image = new EditedImage(labels[0].length, labels.length, flat, {}, highest);
    const given = ids.map(() => {
      const id = image.newId();
      image.map.areas[id] = 1; // as if it were painted
      return id;
    });
    assert.deepEqual(given, ids);
  });
}

test("all numbers in use is said", () => {
  const image = new EditedImage(257, 255, mapped(257, 255, (x, y) => y * 257 + x + 1));
  assert.throws(() => image.newId(), /65535 numbers are in use/);
});

test("undo of 24 megapixels stays within its budget", () => {
  const [width, height] = [6000, 4000];
  // fine noise is the worst case: it cannot be packed
  const labels = Uint16Array.from({ length: width * height }, (_, p) => 1 + ((p * 2654435761) >>> 29));
  const image = new EditedImage(width, height, labels), { history, map } = image;
  const stroke = image.change("Brush", () => paintCapsule(map, [100, 100], [400, 300], 20, 99, ALL));
  assert.ok(stroke.bytes < 1e6); // tiles that it touched, and not 48 MB
  for (let turn = 0; turn < 4; turn++) {
    image.merge([1 + turn, 5 + (turn % 3)]);
    assert.ok(history.bytes <= history.budget);
    assert.ok(history.undo.length >= 1);
  }
});

test("undo and redo go on with the steps that the server kept", () => {
  const image = discs(1), [id] = image.map.ids(), now = image.map.labels.slice();
  const kept = { undo: [{ what: "Brush", box: [0, 0, 2, 1], place: 0 }],
    redo: [{ what: "Fill", box: [5, 5, 6, 7], place: 2 }] };
  image.restoreHistory(kept, Uint16Array.from([7, 8, id + 40, id + 41]));
  assert.equal(image.undo().what, "Undo: Brush");
  assert.deepEqual([...image.map.labels.subarray(0, 2)], [7, 8]);
  image.redo();
  assert.deepEqual(image.map.labels, now);
  assert.equal(image.redo().what, "Redo: Fill");
  assert.equal(image.map.areas[id + 41], 1);
  image.undo();
  assert.deepEqual(image.map.labels, now);
});

test("classes and the class of instances change as one step, both ways", () => {
  const image = drawn(["11.2"], { 1: { class: 3 }, 2: { class: 4 } });
  image.classes = { 3: "cup", 4: "jug" };
  const step = image.changeClasses("Delete class", { 4: "jug" }, [1], null);
  assert.equal(step.box, null);
  assert.deepEqual([image.record(1).class, image.record(2).class], [null, 4]);
  assert.equal(image.undo().what, "Undo: Delete class");
  assert.deepEqual([image.classes, image.record(1).class], [{ 3: "cup", 4: "jug" }, 3]);
  image.redo();
  assert.deepEqual([image.classes, image.record(1).class], [{ 4: "jug" }, null]);
});

test("a number that was not needed is given again", () => {
  const image = drawn(["1..2"]), id = image.newId();
  image.dropId(id);
  assert.equal(image.newId(), id);
  image.dropId(2); // in use
  assert.equal(image.newId(), id + 1);
});
