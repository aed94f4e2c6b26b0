// Keys of classes: chosen ones first, the rest by order; and the labels file that keeps them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keysOf } from "../../segdemo/ui/editor/core/class_keys.js";
import { formatLabels, parseLabels } from "../../segdemo/ui/editor/core/labels_file.js";

const keys = (kinds, chosen) => Object.fromEntries(keysOf(kinds, (kind) => chosen[kind]));

test("classes have keys in their order", () => {
  assert.deepEqual(keys([3, 4, 7], {}), { 3: "1", 4: "2", 7: "3" });
  assert.equal(keysOf([...Array(12).keys()], () => undefined).size, 9);
});

test("a chosen key is the class's own and the others have what is left", () => {
  assert.deepEqual(keys([3, 4, 7], { 7: "1" }), { 3: "2", 4: "3", 7: "1" });
  assert.deepEqual(keys([3, 4, 7], { 3: "" }), { 4: "1", 7: "2" });
  assert.deepEqual(keys([3, 4], { 3: "5", 4: "5" }), { 3: "5", 4: "1" });
});

test("a labels file is read as it was written, and as others write it", () => {
  const classes = [
    { number: 3, name: "ring", key: "5" }, { number: 7, name: "key 2: a", key: null },
  ];
  const text = formatLabels(classes);
  assert.equal(text, "3: ring\tkey 5\n7: key 2: a\n");
  assert.deepEqual(parseLabels(text, 60), { classes, cut: false });
  assert.deepEqual(parseLabels("\r\nball\r\n 7 : square \n12:\n", 6).classes, [
    { number: null, name: "ball", key: null }, { number: 7, name: "square", key: null },
  ]);
  assert.equal(parseLabels("x\n".repeat(1001), 60).cut, true);
});
