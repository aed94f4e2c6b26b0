// Copies masks within a photo and from one to the next: from frame to frame things stay in place.
import { brushRules, paintMask } from "../core/painting.js";
import { changed, ready } from "./actions.js";
import { counted, emit, select, selected, setStatus, state } from "../view/state.js";

let copied = null; // {name, width, height, masks: [{box, values, kind}]}, asked for by Ctrl+C
let left = null; // {name, map, ids, kinds} of the photo shown last: its selected masks, else all

function masksOf(map, ids, kindOf) {
  return ids.map((id) => {
    const box = map.box(id);
    return { box, values: Uint8Array.from(map.crop(box), (one) => Number(one === id)), kind: kindOf(id) };
  });
}

const kindOf = (id) => state.image.record(id).class;

export function copySelected() {
  if (!state.image) return;
  if (!selected().length) return setStatus("Select what to copy (V, Ctrl+A).");
  const { map } = state.image, ids = selected().filter((id) => map.areas[id]);
  const { width, height } = map;
  copied = { name: state.about.name, width, height, masks: masksOf(map, ids, kindOf) };
  setStatus(`${counted(ids.length, "mask")} copied: Ctrl+V puts them onto any photo of this size.`);
}

// Called while the old photo is still here; its map is kept, for nothing changes it any more.
export function rememberLeft() {
  const { map } = state.image, chosen = selected().filter((id) => map.areas[id]);
  const ids = chosen.length ? chosen : map.ids();
  left = { name: state.about.name, map, ids, kinds: new Map(ids.map((id) => [id, kindOf(id)])) };
}

const fits = (from) => from.width === state.image.map.width && from.height === state.image.map.height;

function paste(from) {
  const { image } = state, may = brushRules("background", [], image.locked), ids = [];
  try {
    for (const { kind } of from.masks) {
      ids.push(image.newId());
      image.record(ids.at(-1)).class = kind;
    }
  } catch (problem) {
    return setStatus(problem.message);
  }
  const step = image.change("Copied masks", () => from.masks.forEach(({ box, values }, i) =>
    paintMask(image.map, box, values, ids[i], may)));
  const made = ids.filter((id) => image.map.areas[id]);
  if (!changed(step)) return setStatus("Nothing is copied: other instances have all of these pixels.");
  emit("records", made);
  select(made, true);
  setStatus(`${counted(made.length, "mask")} copied from ${from.name}, onto what was free.`);
}

export function pasteMasks() {
  if (!ready()) return;
  if (!copied) return pasteFromLast();
  if (!fits(copied)) return setStatus(`${copied.name} has another size than this photo.`);
  paste(copied);
}

export function pasteFromLast() {
  if (!ready()) return;
  if (!left?.ids.length) return setStatus("No photo with masks was shown before this one.");
  const { name, map, ids, kinds } = left;
  if (!fits(map)) return setStatus(`${name} has another size than this photo.`);
  paste({ name, masks: masksOf(map, ids, (id) => kinds.get(id)) });
}
