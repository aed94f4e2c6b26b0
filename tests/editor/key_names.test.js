// A key is named by the sign on it, whatever the keyboard's layout.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyName } from "../../segdemo/ui/editor/input/key_names.js";

const KNOWN = [..."abcdefghjklmnopqrsvxyz[]+-=<>.?123456789", "Enter", "Delete"];
const CASES = [
  ["US", "KeyZ", "z", "z"],
  ["US, Shift", "KeyZ", "Z", "z"],
  ["QWERTZ", "KeyY", "z", "z"],
  ["QWERTZ", "KeyZ", "y", "y"],
  ["QWERTZ, no bracket without AltGr", "BracketLeft", "ü", "["],
  ["QWERTZ, AltGr", "Digit8", "[", "["],
  ["QWERTZ", "Slash", "-", "-"],
  ["AZERTY", "KeyW", "z", "z"],
  ["AZERTY", "Semicolon", "m", "m"],
  ["AZERTY, the comma is no M", "KeyM", ",", ","],
  ["AZERTY, digits need Shift", "Digit2", "é", "2"],
  ["AZERTY, Shift", "Digit2", "2", "2"],
  ["AZERTY, the minus is no 6", "Digit6", "-", "-"],
  ["AZERTY", "BracketLeft", "Dead", "["],
  ["Russian", "KeyZ", "я", "z"],
  ["Russian, Shift", "KeyB", "И", "b"],
  ["Greek", "KeyM", "μ", "m"],
  ["numpad", "Numpad3", "3", "3"],
  ["numpad", "NumpadEnter", "Enter", "Enter"],
];

test("a key is named by its sign on every layout", () => {
  for (const [layout, code, key, name] of CASES) {
    const found = keyName({ key, code }, (one) => KNOWN.includes(one));
    assert.equal(found, name, `${layout}: ${code} with ${key}`);
  }
});
