// Copies masks within a photo and from one to the next: from frame to frame things stay in place.
import { brushRules, paintMask } from "../core/painting.js";
import { changed, ready } from "./actions.js";
import { counted, emit, select, selected, setStatus, state } from "../view/state.js";

let copied = null; // {name, width, height, masks: [{box, values, kind}]}, asked for by Ctrl+C
let left = null; // the same of the photo that was shown last: its selected masks, else all

function takeMasks(ids) {
  const { map } = state.image, { name } = state.about;
  const masks = ids.map((id) => {
    const box = map.box(id);
    return { box, values: map.crop(box).map((one) => Number(one === id)), kind: state.image.record(id).class };
  });
  return { name, width: map.width, height: map.height, masks };
}

export function copySelected() {
  if (!state.image) return;
  if (!selected().length) return setStatus("Select what to copy (V, Ctrl+A).");
  copied = takeMasks(selected().filter((id) => state.image.map.areas[id]));
  setStatus(`${counted(copied.masks.length, "mask")} copied: Ctrl+V puts them onto any photo of this size.`);
}

// Called while the old photo is still here.
export function rememberLeft() {
  const { map } = state.image, chosen = selected().filter((id) => map.areas[id]);
  left = takeMasks(chosen.length ? chosen : map.ids());
}

const fits = (from) => from && from.width === state.image.map.width && from.height === state.image.map.height;

function paste(from) {
  const { image } = state, may = brushRules("background", [], image.locked), made = [];
  const step = image.change("Copied masks", () => {
    for (const { box, values, kind } of from.masks) {
      const id = image.newId();
      image.record(id).class = kind;
      paintMask(image.map, box, values, id, may);
      if (image.map.areas[id]) made.push(id);
    }
  });
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
  if (!left?.masks.length) return setStatus("No photo with masks was shown before this one.");
  if (!fits(left)) return setStatus(`${left.name} has another size than this photo.`);
  paste(left);
}
